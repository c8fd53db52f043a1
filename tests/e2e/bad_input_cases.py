"""Jobs that reachd cannot use: each must come out in reach:dead byte for byte, with a plain reason that names the member at fault, and
nothing may be sent. Run by test_bad_input.sh:  bad_input_cases.py REDIS-SOCKET PEER-INDEX"""
import copy
import json
import sys
import time
import unittest

from resp import Resp

SOCKET, INDEX = sys.argv[1:3]
GOOD = {"v": 1, "type": "notice", "id": "good", "notice": "mail-password-disabled",
        "customer": {"id": "C1", "name": "Ada", "locale": "en-GB", "accounts": ["ada@walton.example"],
                     "contacts": [{"channel": "email", "address": "ada@example.org"}, {"channel": "sms", "address": "+441632960001"}]},
        "disables": {"accounts": ["ada@walton.example"]}, "data": {"reset_url": "https://walton.example/reset"}}


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain: " + what)
        time.sleep(0.02)


def changed(**members):
    """The good job with members changed; a name like customer__contacts__0__address goes down; None takes the member out."""
    job = copy.deepcopy(GOOD)
    for path, value in members.items():
        *way, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        at = job
        for part in way:
            at = at[part]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return job


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = Resp(SOCKET)
        cls.number = 0

    def counters(self):
        flat = self.redis("HGETALL", "reach:counters")
        return dict(zip([name.decode() for name in flat[::2]], map(int, flat[1::2])))

    def messages(self):
        with open(INDEX) as file:
            return len(file.readlines())

    def push(self, body, lane="reach:intake", field="job"):
        """Pushes `body` and waits until it is answered for."""
        accepted = self.counters().get("accepted", 0)
        self.redis("XADD", lane, "*", field, body)
        wait_for("the job is accepted", lambda: self.counters().get("accepted", 0) == accepted + 1)

    def dies(self, job, member, *words, **how):
        """`job` (an object, which gets an id of its own, or bytes) becomes a dead letter at `member`, whole, and nothing else happens."""
        if isinstance(job, dict) and isinstance(job.get("id"), str):
            type(self).number += 1
            job["id"] = "bad-%d" % self.number
        body = job if isinstance(job, bytes) else json.dumps(job).encode()
        dead, sent = self.redis("XLEN", "reach:dead"), self.messages()
        self.push(body, **how)
        self.assertEqual(self.redis("XLEN", "reach:dead"), dead + 1)
        (_, flat), = self.redis("XREVRANGE", "reach:dead", "+", "-", "COUNT", 1)
        letter = dict(zip([name.decode() for name in flat[::2]], flat[1::2]))
        if how.get("field", "job") == "job":
            self.assertEqual(letter["job"], body)
        self.assertEqual(letter["member"].decode(), member, letter["reason"])
        for word in words:
            self.assertIn(word, letter["reason"].decode())
        self.assertNotEqual(letter["reason"], b"")
        self.assertNotIn(b"\n", letter["reason"])
        self.assertNotIn(b"example.org", letter["reason"], "an address in a reason")
        if isinstance(job, dict) and isinstance(job.get("id"), str):
            self.assertEqual(letter["id"].decode(), job["id"])
            self.assertIsNone(self.redis("HGET", "reach:notices", job["id"]))
        self.assertEqual(self.messages(), sent)

    def test_01_a_good_job_is_sent(self):
        self.push(json.dumps(GOOD).encode())
        wait_for("the message is sent", lambda: self.messages() == 1)

    def test_malformed_json(self):
        for body in [b"", b"{", b'{"v":1,', b"nonsense", json.dumps(GOOD).encode()[:-1], json.dumps(GOOD).encode() + b"x", b'{"v":1}{"v":1}', b"[]", b'"x"', b"null", b"1"]:
            self.dies(body, "")

    def test_members_that_stand_twice(self):
        self.dies(json.dumps(GOOD).encode().replace(b'"v": 1', b'"v": 1, "v": 1'), "")
        self.dies(json.dumps(GOOD).encode().replace(b'"name": "Ada"', b'"name": "Ada", "name": "Bob"'), "")

    def test_bytes_that_are_no_text(self):
        self.dies(json.dumps(GOOD).encode().replace(b"Ada", b"A\xff"), "")
        self.dies(json.dumps(GOOD).encode().replace(b"Ada", b"A\xc0\x80"), "")
        self.dies(json.dumps(GOOD).encode().replace(b"Ada", b"A\\u0000"), "")
        self.dies(json.dumps(GOOD).encode().replace(b"Ada", b"A\\ud800"), "")
        self.dies(changed(customer__name="A\nb"), "customer.name")

    def test_nesting_without_end(self):
        self.dies(b'{"v":' + b"[" * 100000 + b"]" * 100000 + b"}", "")
        self.dies(b'{"a":' * 40 + b"1" + b"}" * 40, "")

    def test_more_than_64_kib(self):
        self.dies(json.dumps(changed(data__filler="x" * 65536)).encode(), "", "65536")
        just, sent = json.dumps(dict(changed(), id="just")).encode(), self.messages()
        self.push(just + b" " * (65536 - len(just)))
        wait_for("the message of 64 KiB is sent", lambda: self.messages() == sent + 1)
        self.assertIsNotNone(self.redis("HGET", "reach:notices", "just"), "64 KiB is not too much")
        wait_for("its message is sent", lambda: self.messages() >= 2)

    def test_numbers_beyond_reason(self):
        self.dies(json.dumps(GOOD).encode().replace(b'"v": 1', b'"v": 9223372036854775808'), "")
        self.dies(changed(v=2), "v")
        self.dies(changed(v=1.5), "v")
        self.dies(changed(v="1"), "v")

    def test_unknown_members(self):
        self.dies(changed(custmer={}), "custmer")
        self.dies(changed(customer__nmae="x"), "customer.nmae")
        self.dies(changed(customer__contacts__1__adress="x"), "customer.contacts[1].adress")
        self.dies(changed(disables__mailboxes=[]), "disables.mailboxes")

    def test_missing_members(self):
        for name in ("v", "type", "id", "notice", "customer"):
            self.dies(changed(**{name: None}), name)
        self.dies(changed(customer__id=None), "customer.id")
        self.dies(changed(customer__contacts__0__address=None), "customer.contacts[0].address")
        self.dies(changed(customer__contacts__0__channel=None), "customer.contacts[0].channel")

    def test_wrong_types(self):
        self.dies(changed(customer="C1"), "customer")
        self.dies(changed(customer__contacts={}), "customer.contacts")
        self.dies(changed(customer__contacts__0="ada@example.org"), "customer.contacts[0]")
        self.dies(changed(disables__accounts="ada@walton.example"), "disables.accounts")
        self.dies(changed(disables__accounts__0=1), "disables.accounts[0]")
        self.dies(changed(data=[]), "data")
        self.dies(changed(notice=None) | {"notice": 7}, "notice")
        self.dies(changed(effective_at=1), "effective_at")

    def test_ids_that_are_none(self):
        for value in ("", "a b", "a\u00e4", "x" * 129):
            self.dies(json.dumps(dict(GOOD, id=value)).encode(), "id")

    def test_unknown_names(self):
        self.dies(changed(type="notise"), "type")
        self.dies(changed(notice="no-such-notice"), "notice")
        self.dies(changed(notice="../secrets"), "notice")
        self.dies(changed(route="no-such-route"), "route")
        self.dies(changed(customer__locale="ja-JP"), "customer.locale")
        self.dies(changed(customer__contacts__0__channel="fax"), "customer.contacts[0].channel")
        self.dies(changed(customer__contacts__0__status="gone"), "customer.contacts[0].status")
        self.dies(changed(customer={"id": "C-nobody-knows"}), "customer.id")

    def test_addresses_that_are_none(self):
        for address in ("ada", "ada@", "@example.org", "a da@example.org", "ada@exa mple.org", "ada@-x.example", "ada@example..org", "x" * 400 + "@example.org"):
            self.dies(changed(customer__contacts__0__address=address), "customer.contacts[0].address")
        for number in ("01632960001", "+44 1632 960001", "+0441632", "+44163296000a", "+4", "+12345678901234567"):
            self.dies(changed(customer__contacts__1__address=number), "customer.contacts[1].address")
        self.dies(changed(disables__accounts=["ada"]), "disables.accounts[0]")
        self.dies(changed(disables__domains=["not a domain"]), "disables.domains[0]")
        self.dies(changed(disables={}), "disables")

    def test_times_that_are_none(self):
        for time_text in ("tomorrow", "2026-12-23", "2026-12-23T18:00:00", "2026-02-30T00:00:00Z", "2026-12-23T25:00:00Z"):
            self.dies(changed(effective_at=time_text), "effective_at")
        for duration in ("30M", "P", "PT", "P1M", "P1Y", "-PT1S"):
            self.dies(changed(promise=duration), "promise")
        self.dies(changed(effective_at="2027-01-01T00:00:00Z", expires_at="2026-01-01T00:00:00Z"), "expires_at")

    def test_a_campaign_is_answered_and_not_taken_for_something_else(self):
        campaign = {"v": 1, "id": "x", "type": "campaign", "notice": "mail-password-disabled", "audience": "all", "disables": {"domains": ["walton.example"]}}
        self.dies(campaign, "type", "no campaigns yet")
        self.dies(dict(campaign, audience={"where": {"local": "de"}}), "audience.where.local")
        self.dies(dict(campaign, disables={"domains": ["walton..example"]}), "disables.domains[0]")

    def test_values_that_a_template_misses(self):
        self.dies(changed(data={}), "data.reset_url")
        self.dies(changed(data__reset_url=[]), "data.reset_url")

    def test_a_stream_entry_without_the_field(self):
        self.dies(b"{}", "job", field="jbo")

    def test_the_bulk_lane_answers_too(self):
        self.dies(changed(custmer={}), "custmer", lane="reach:intake:bulk")

    def test_the_same_job_again_is_a_duplicate(self):
        job = dict(changed(), id="twice")
        self.push(json.dumps(job).encode())
        wait_for("it is sent", lambda: self.sent_to_end("twice"))
        sent, dead, before = self.messages(), self.redis("XLEN", "reach:dead"), self.counters().get("state:U", 0)
        self.push(json.dumps(job).encode())
        self.push(json.dumps(job, indent=3).encode())
        self.push(json.dumps(dict(reversed(job.items())), ensure_ascii=False).encode())
        self.push(json.dumps(job).encode(), lane="reach:intake:bulk")
        self.assertEqual((self.counters()["state:U"], self.redis("XLEN", "reach:dead")), (before + 4, dead))
        self.assertEqual(self.messages(), sent)

    def test_the_same_id_with_other_content_is_refused(self):
        job = dict(changed(), id="reused")
        self.push(json.dumps(job).encode())
        wait_for("it is sent", lambda: self.sent_to_end("reused"))
        job["customer"]["name"] = "Eve"
        body, dead, sent = json.dumps(job).encode(), self.redis("XLEN", "reach:dead"), self.messages()
        self.push(body)
        (_, flat), = self.redis("XREVRANGE", "reach:dead", "+", "-", "COUNT", 1)
        letter = dict(zip(flat[::2], flat[1::2]))
        self.assertEqual((self.redis("XLEN", "reach:dead"), self.messages()), (dead + 1, sent))
        self.assertEqual((letter[b"job"], letter[b"member"], letter[b"id"]), (body, b"id", b"reused"))
        self.assertTrue(letter[b"reason"].startswith(b"id-reused"), letter[b"reason"])

    def test_a_hundred_copies_at_once_give_one_message(self):
        body = json.dumps(dict(changed(), id="hundred")).encode()
        accepted, sent = self.counters()["accepted"], self.messages()
        for _ in range(100):
            self.redis("XADD", "reach:intake", "*", "job", body)
        wait_for("all are answered", lambda: self.counters()["accepted"] == accepted + 100)
        wait_for("it is sent", lambda: self.sent_to_end("hundred"))
        self.assertEqual(self.messages(), sent + 1)

    def sent_to_end(self, notice):
        record = self.redis("HGET", "reach:notices", notice)
        return record is not None and record[:1] == b"R"

    def test_zz_everything_is_accounted_for(self):
        counters = self.counters()
        states = sum(value for name, value in counters.items() if name.startswith("state:"))
        self.assertEqual(counters["accepted"], states)
        self.assertEqual(counters["state:D"], self.redis("XLEN", "reach:dead"))
        fields = self.redis("HKEYS", "reach:leases")
        self.assertEqual([field for field in fields if b"/" in field], [], "something is left in a lease")


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(1 if failed else 0)
