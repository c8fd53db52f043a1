#!/usr/bin/env python3
"""Makes the demo's retailer: 2,000 customers from a fixed seed, the jobs that tell them, and how their mail servers misbehave.

    customers.py DIR LOCALES [COUNT [SEED]]

Writes to DIR: jobs.ndjson (for reachctl push), twice.ndjson (jobs that somebody pushes a second time by mistake), rules.json (for the
sandbox peer) and truth.ndjson: what is known here about each customer, made while the customer was made and without asking
reachd: the account that dies, every address in the job that only leads there, whether anything else is left, and whether the customer
will come by and see a banner.

The story is that of docs: after an attack the retailer disables all mailboxes of walton.example at once. Half of the customers have
nothing else. Many of the others seem to have something else.
"""
import json
import os
import random
import sys

NAMES = ("Ada Bea Cai Dan Eva Finn Gus Hal Ida Jon Kay Lea Max Nia Ole Pia Ray Sam Tia Uma Vic Wes Yan Zoe Anna Bert Carl Dora Emil Fritz "
         "Greta Hans Inge Jörg Käthe Lutz Marie Noël Odile René").split()
FALLEN = "walton.example"                                    # all of its mailboxes die
DISGUISES = ("mail.walton.example", "walton.co.example")     # the same mailboxes under other names (own_domains in the configuration)
REASONS = {"550": "gone.example", "451": "grey.example", "452": "full.example", "drop": "flaky.example"}


class Maker:
    def __init__(self, locales, seed):
        self.random = random.Random(seed)
        self.locales = locales

    def disguise(self, local):
        """The company mailbox as it may stand in a list of "other" addresses."""
        form = self.random.randrange(5)
        if form == 0:
            return "%s@%s" % (local.upper(), FALLEN.title())
        if form == 1:
            return "%s+shop@%s" % (local, FALLEN)
        if form == 2:
            return "%s@%s" % (local, self.random.choice(DISGUISES))
        if form == 3:
            return "%s+News@%s" % (local.capitalize(), self.random.choice(DISGUISES).upper())
        return "%s@%s." % (local, FALLEN) if self.random.random() < 0.2 else "%s@%s" % (local.title(), FALLEN)

    def forwarder(self, local, account):
        return {"channel": "email", "address": "%s@alumni.example" % local, "forwards_to": [account]}

    def alternate(self, local):
        """A mailbox elsewhere; how its server behaves is in its domain (rules.json)."""
        domain = self.random.choices(["example.org", "example.net"] + list(REASONS.values()), [40, 30, 12, 8, 5, 5])[0]
        return {"channel": "email", "address": "%s@%s" % (local, domain)}

    def phone(self, number):
        """+44 1632 96xxxx is reserved for fiction. The last digits decide how its network behaves (rules.json; world.py)."""
        return {"channel": "sms", "address": "+44163296%04d" % number}

    def token(self, number):
        kind = self.random.choices(["app", "gone"], [85, 15])[0]
        return {"channel": "push", "address": "%s-%06d" % (kind, number)}

    def customer(self, number):
        """One customer: the job's customer, the account, the addresses that are doomed with it, and what kind of customer it is."""
        name = self.random.choice(NAMES)
        plain = name.lower().replace("ö", "oe").replace("ä", "ae").replace("ë", "e").replace("é", "e")
        local = "%s%d" % (plain, number)
        account = "%s@%s" % (local, FALLEN)
        company = {"channel": "email", "address": account}
        doomed = [account]
        contacts = [company]
        kind = "company only"
        if number % 2 == 0:
            kind = self.random.choices(["disguised", "spouse", "forwarder", "alternate", "phone", "push", "banner", "rich"],
                                       [20, 4, 12, 25, 12, 8, 7, 12])[0]
            contacts, doomed = getattr(self, "make_" + kind)(number, local, account, company)
        self.last_local = local
        customer = {"id": "C%04d" % number, "name": name, "locale": self.random.choice(self.locales), "accounts": [account], "contacts": contacts}
        return customer, account, doomed, kind

    def make_disguised(self, number, local, account, company):
        others = [{"channel": "email", "address": self.disguise(local)} for _ in range(self.random.randint(1, 2))]
        others = [other for i, other in enumerate(others) if other["address"] not in [o["address"] for o in others[:i]] + [account]]
        return [company] + others, [account] + [other["address"] for other in others]

    def make_spouse(self, number, local, account, company):
        spouse = self.last_local + "@" + FALLEN              # somebody else's mailbox, and it dies in the same change
        return [company, {"channel": "email", "address": spouse}], [account, spouse]

    def make_forwarder(self, number, local, account, company):
        forwarder = self.forwarder(local, account)
        if self.random.random() < 0.3:                       # it leads elsewhere, too: that one survives
            forwarder["forwards_to"].append("%s@example.org" % local)
            return [company, forwarder], [account]
        return [company, forwarder], [account, forwarder["address"]]

    def make_alternate(self, number, local, account, company):
        contacts = [company, self.alternate(local)]
        if self.random.random() < 0.3:
            contacts.append(self.alternate(local + ".home"))
        return contacts, [account]

    def make_phone(self, number, local, account, company):
        return [company, self.phone(number)], [account]

    def make_push(self, number, local, account, company):
        token = self.token(number)
        if self.random.random() < 0.25:                      # the app signs in with the account: the token dies with it
            token["depends_on"] = [account]
            return [company, token], [account, token["address"]]
        return [company, token], [account]

    def make_banner(self, number, local, account, company):
        return [company, {"channel": "banner", "address": account}], [account]

    def make_rich(self, number, local, account, company):
        disguised = {"channel": "email", "address": self.disguise(local)}
        contacts = [company, disguised, self.alternate(local), self.phone(number), self.token(number), {"channel": "banner", "address": account}]
        return contacts, [account, disguised["address"]]


def survivors(contacts, doomed):
    """The channels that are left, by the truth of this file. The banner needs no mailbox: the login page shows it."""
    return sorted({contact["channel"] for contact in contacts if contact["channel"] == "banner" or contact["address"] not in doomed})


def error(code):
    """A gateway's refusal in the words that the example configuration knows."""
    return json.dumps({"error": {"code": code}})


def rules():
    """How the world misbehaves. Counted per recipient, so that it is the same whatever order things happen in."""
    mail = [
        {"why": "no such mailbox", "phase": "rcpt", "recipient": "*@gone.example", "action": "reply", "code": 550, "text": "5.1.1 no such mailbox here"},
        {"why": "greylisting", "phase": "rcpt", "recipient": "*@grey.example", "first": 1, "per": "recipient", "action": "reply", "code": 451, "text": "4.7.1 greylisted, try again"},
        {"why": "never any room", "phase": "rcpt", "recipient": "*@full.example", "action": "reply", "code": 452, "text": "4.2.2 mailbox full"},
        {"why": "takes the mail, and the answer is lost", "phase": "after-dot", "recipient": "*@flaky.example", "first": 1, "per": "recipient", "action": "drop"},
    ]
    sms = [
        {"why": "number not in service", "phase": "http-read", "channel": "sms", "recipient": "*2", "action": "reply", "code": 400, "text": error("no-such-number")},
        {"why": "a moment's trouble", "phase": "http-read", "channel": "sms", "recipient": "*4", "first": 1, "per": "recipient", "action": "reply", "code": 503, "text": error("busy")},
        {"why": "reads the request and hangs up", "phase": "http-read", "channel": "sms", "recipient": "*60", "first": 1, "per": "recipient", "action": "close-after-read"},
    ]
    push = [{"why": "app removed", "phase": "http-read", "channel": "push", "recipient": "gone-*", "action": "reply", "code": 410, "text": error("unregistered")}]
    return {"rules": mail + sms + push}


def main(directory, locales, count="2000", seed="20261223"):
    maker = Maker(locales.split(","), int(seed))
    jobs = []
    with open(os.path.join(directory, "truth.ndjson"), "w", encoding="utf-8") as truth:
        for number in range(1, int(count) + 1):
            customer, account, doomed, kind = maker.customer(number)
            job = {"v": 1, "type": "notice", "id": "pw-2026-%s" % customer["id"], "notice": "mail-password-disabled", "customer": customer,
                   "disables": {"accounts": [account], "domains": [FALLEN]}, "expires_at": "2099-01-31T00:00:00Z", "promise": "PT30M",
                   "data": {"reset_url": "https://walton.example/reset"}}
            jobs.append(json.dumps(job, ensure_ascii=False))
            left = survivors(customer["contacts"], doomed)
            truth.write(json.dumps({"customer": customer["id"], "job": job["id"], "kind": kind, "account": account, "doomed": doomed, "left": left,
                                    "comes_by": kind == "banner" and int(customer["id"][1:]) % 4 == 0}) + "\n")
    with open(os.path.join(directory, "jobs.ndjson"), "w", encoding="utf-8") as file:
        file.write("\n".join(jobs) + "\n")
    with open(os.path.join(directory, "twice.ndjson"), "w", encoding="utf-8") as file:
        file.write("\n".join(jobs[:: max(1, len(jobs) // 20)][:20]) + "\n")
    with open(os.path.join(directory, "rules.json"), "w", encoding="utf-8") as file:
        json.dump(rules(), file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
