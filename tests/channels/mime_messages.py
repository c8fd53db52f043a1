"""Messages that are hard to write down as mail, one JSON object a line."""
import json

PLAIN = "Dear customer,\nyour mailbox password no longer works.\n"
TEXTS = [
    PLAIN,
    "",
    "\n",
    "no newline at the end",
    "trailing blanks  \nand tabs\t\nand = signs == everywhere =\n",
    ".\n..\n.hidden\n\n.\n",
    "From here on\n>From there\n--\nsignature\n--=_boundary--\n",
    "x" * 2000 + "\n",
    ("word " * 300).strip() + "\n",
    "Grüße aus Köln, naïve façade — “quoted” … €100\n",
    "Γειά σου Κόσμε, ο κωδικός σου έληξε.\nこんにちは世界。パスワードは無効です。\n",
    "שלום עולם\nمرحبا بالعالم\n",
    "🔐 Emoji 👩‍👩‍👧‍👦 and combining é\n",
    "a\u200bzero\u202ewidth and bidi\n",
    "=?UTF-8?B?bm90IGVuY29kZWQ=?=\n",
    "tab\tinside and https://walton.example/reset?a=1&b=2#frag=3D\n" * 20,
    "€" * 700 + "\n",
]
SUBJECTS = [
    "Your mailbox password has been switched off",
    "Ihr Postfach-Passwort wurde außer Kraft gesetzt – bitte handeln Sie jetzt, damit Sie erreichbar bleiben",
    "パスワードが無効になりました。できるだけ早く新しいパスワードを設定してください。お問い合わせはヘルプデスクまで。",
    "A subject that is " + "very " * 40 + "long",
    "=?UTF-8?Q?looks_encoded?= but is not",
    "x" * 200,
    "quotes \" and \\ and <angle> and, commas; semicolons: colons",
    "é",
    "🔐" * 30,
]
NAMES = [None, "Ada", "Ada King, Countess of Lovelace", 'Ada "the Analyst" \\ Byron', "Ödön von Horváth", "李小龙", "a" * 100, "Ada (analyst)",
         "ada@example.org", "O'Hara; Group: x", "é" * 80]

number = 0
for i, text in enumerate(TEXTS * 3):
    number += 1
    html = None if i % 5 == 4 else "<html><body><p>%s</p></body></html>\n" % text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>\n")
    print(json.dumps({
        "key": "%032x" % number,
        "to": "customer%d@example.org" % number,
        "to_name": NAMES[i % len(NAMES)],
        "locale": ["en-GB", "de", "ja", "zh-Hant-TW"][i % 4],
        "created_at_ms": 1795298400000 + i * 86400000 * 7,
        "from_name": None if i % 2 else "Walton Security™",
        "from_address": "security@walton.example" if i % 3 == 1 else None,
        "reply_to": "desk@help.walton.example" if i % 4 == 2 else None,
        "subject": SUBJECTS[i % len(SUBJECTS)],
        "text": text,
        "html": html,
    }))
