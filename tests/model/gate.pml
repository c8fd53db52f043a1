/* The clearance gate, as a model for the checker spin.
 *
 * One customer, one account that is to be disabled, three contact points: the account's own mailbox (OWN, which dies with the change),
 * another one (OTHER), and one that turns up later (NEW). Two workers share the notice through its record in Redis; every atomic
 * block below that touches the record is one script there. Around them, in any order and at any moment: the change
 * comes into force, gateways accept, refuse or lose, reports and bounces come, also late, a contact point is lost or turns out to lead only to
 * OWN, a clearance expires, a worker dies between any two steps or is overtaken while it sleeps, and the account service asks.
 *
 * What must hold, whatever happens:
 *   assertions     no message leaves for a contact point that dies once the change is in force (P2);
 *                  the account is disabled only on a clearance whose evidence came through a contact point that survives, by a message
 *                  that was no early warning (P3)
 *   taken_back     a clearance never outlives its evidence
 *   looked_after   whenever the customer is neither cleared nor with the desk, they get to one of the two (P4)
 *   planned_again  a contact point that turns up is used (P4)
 *
 * That the model can fail is shown by breaking it: with -DBREAK_x one guard is taken out, and the checker must find the failure
 * (check.sh knows which). What the model leaves out: more customers than one, the words, rates, and the moment between the
 * account service's question and its deed, which is its own. */

#define OWN 0
#define OTHER 1
#define NEW 2
#define CONTACTS 3

/* How often something unforeseen happens: a worker dies, is overtaken while it works, a gateway asks for a retry, a clearance expires.
 * Without a limit nothing could be promised; 2 takes minutes and finds nothing else, 3 takes an hour. */
#ifndef TROUBLES
#define TROUBLES 1
#endif

/* States of the try on a contact point. `flight`: an intent is on record and no outcome yet. `waited`: sent, and the time that the
 * route gives for evidence is over. */
mtype = { untried, flight, sent, waited, failed };

/* What a worker has decided to do. */
mtype = { nothing, grant, send, warn, desk_case };

/* The contact book. */
bool listed[CONTACTS], lost[CONTACTS], dies[CONTACTS];
bool effective;

/* The record of the notice, and what its changes write beside it. `owner` stands for the fence: a change by anybody else is refused. */
mtype tried[CONTACTS] = untried;
bool proven[CONTACTS];
byte owner;
bool cleared, desk;
byte by;

/* The world outside. */
bool gone[CONTACTS];
bool down[3];
byte troubles = TROUBLES;
bool changed, told;

/* Only OWN is ever written to although it dies, and only as an early warning. */
#define early(c) (c == OWN)
#define survives(c) (listed[c] && !lost[c] && !dies[c])

#ifdef BREAK_DOOMED_COUNTS /* a doomed contact point is taken for evidence until the change is in force */
#define counts(c) (proven[c] && listed[c] && !lost[c] && (!dies[c] || !effective))
#else
#define counts(c) (proven[c] && survives(c))
#endif
#define due_send(c) (survives(c) && !proven[c] && (tried[c] == untried || tried[c] == flight))
#define waiting(c) (survives(c) && !proven[c] && tried[c] == sent)

#define any(what) (what(OWN) || what(OTHER) || what(NEW))
#define due_warn (!any(survives) && !effective && !lost[OWN] && tried[OWN] == untried)
#define due_desk (!desk && !any(counts) && !any(due_send) && !any(waiting))
#define due (!cleared && (any(counts) || due_warn || any(due_send) || due_desk))

#ifdef BREAK_FENCE /* a change is written whoever owns the notice by now */
#define mine true
#else
#define mine (owner == me)
#endif

#ifdef BREAK_LEASE /* nobody takes over from the dead */
#define free_for(me) (owner == 0 || owner == me)
#else
#define free_for(me) (owner == 0 || owner == me || down[owner] || troubles > 0)
#endif

/* core/plan and core/clearance: what comes next, from the record as it is read. */
inline decide() {
    if
    :: counts(OWN) -> c = OWN; act = grant
    :: !counts(OWN) && counts(OTHER) -> c = OTHER; act = grant
    :: !counts(OWN) && !counts(OTHER) && counts(NEW) -> c = NEW; act = grant
    :: !any(counts) && due_warn -> c = OWN; act = warn
    :: !any(counts) && !due_warn && due_send(OTHER) -> c = OTHER; act = send
    :: !any(counts) && !due_warn && !due_send(OTHER) && due_send(NEW) -> c = NEW; act = send
    :: else -> c = OWN; act = desk_case
    fi
}

inline forget() {
    c = OWN; act = nothing; went = false
}

inline die() {
    troubles--; down[me] = true; forget()
}

/* The check that is made again right before an attempt (reach_use_at). */
#ifdef BREAK_BOUNDARY
#define may_go(c) true
#else
#define may_go(c) (!(dies[c] && effective) && !lost[c])
#endif

/* Puts the message on the wire, if it may go. */
inline attempt() {
    went = may_go(c);
    if
    :: went -> assert(!(dies[c] && effective)); gone[c] = true
    :: else -> skip
    fi
}

inline record_outcome() {
    if
    :: mine && tried[c] == flight && !went -> tried[c] = failed; owner = 0
    :: mine && tried[c] == flight && went -> tried[c] = sent; owner = 0
    :: mine && tried[c] == flight && went -> tried[c] = failed; owner = 0
    :: mine && tried[c] == flight && went && troubles > 0 && !early(c) -> troubles--; tried[c] = untried; owner = 0
    :: mine && tried[c] != flight -> owner = 0 /* a receipt was faster */
    :: else -> skip                            /* refused as stale */
    fi
}

inline record_clearance() {
    if
    :: mine -> cleared = true; by = c; desk = false; owner = 0
    :: else -> skip
    fi
}

inline record_desk_case() {
    if
#ifdef BREAK_DESK
    :: mine -> owner = 0
#else
    :: mine -> desk = true; owner = 0
#endif
    :: else -> skip
    fi
}

/* Between any two steps a worker may die. */
proctype worker(byte me) {
    byte c;
    mtype act = nothing;
    bool went;

end_idle:
    /* Takes the notice: it is free, or mine from before a crash, or its owner is dead or thought to be. */
    atomic {
        due && free_for(me);
        if
        :: owner != 0 && owner != me && !down[owner] -> troubles--
        :: else -> skip
        fi;
        owner = me;
        decide()
    }
    if
    :: atomic { troubles > 0 -> die(); goto crashed }
    :: atomic { act == grant -> record_clearance(); forget(); goto end_idle }
    :: atomic { act == desk_case -> record_desk_case(); forget(); goto end_idle }
    :: atomic { (act == send || act == warn) && !(mine) -> forget(); goto end_idle } /* no intent, no sending */
    :: atomic { (act == send || act == warn) && mine -> tried[c] = flight }
    fi;
    if
    :: atomic { troubles > 0 -> die(); goto crashed }
    :: atomic { true -> attempt() }
    fi;
    if
    :: atomic { troubles > 0 -> die(); goto crashed }
    :: atomic { true -> record_outcome(); forget(); goto end_idle }
    fi;

crashed:
    /* The first may stay dead; the second comes back, having forgotten everything. */
    if
    :: true -> down[me] = false; goto end_idle
    :: me == 1 -> skip
    fi
}

/* What takes evidence or a contact point away takes with it, in the same step, what rests on it, and fences off whoever decided on
 * what was known before. */
inline take_back(which) {
    skip;
#ifndef BREAK_WITHDRAWAL
    if
    :: cleared && by == which -> cleared = false; by = OWN; desk = true
    :: else -> skip
    fi
#endif
}

inline fence_off_deciders() {
    skip;
#ifndef BREAK_CONTACT_FENCE /* broken: a worker that has read the contact book before the change goes on with what it decided */
    owner = 0
#endif
}

/* Gateways and bounce mail: for every message that went out there may be a report, a bounce, or first the one and then the other. */
inline report(r) {
#ifndef BREAK_EARLY_WARNING /* broken: the report of an early warning is taken for evidence */
    proven[r] = !early(r);
#else
    proven[r] = true;
#endif
    tried[r] = sent;
    owner = 0
}

inline bounce(r) {
    lost[r] = true;
    proven[r] = false;
    tried[r] = failed;
    gone[r] = false;
    owner = 0;
    take_back(r)
}

/* Asks whether it may disable the account; no record means no. */
inline account_service_asks() {
    assert(!dies[by]);
    assert(!early(by));
    assert(proven[by] && !lost[by])
}

/* Everything outside the workers, in any order, until it stops. */
proctype world() {
    do
    :: atomic { gone[OWN] && !told -> told = true; report(OWN) } /* never proven, so the report is noted */
    :: atomic { gone[OTHER] && !proven[OTHER] -> report(OTHER) }
    :: atomic { gone[NEW] && !proven[NEW] -> report(NEW) }
    :: atomic { gone[OWN] -> bounce(OWN) }
    :: atomic { gone[OTHER] -> bounce(OTHER) }
    :: atomic { gone[NEW] -> bounce(NEW) }
    :: atomic { !effective -> effective = true }
    :: atomic { !changed -> changed = true; lost[OTHER] = true; take_back(OTHER); fence_off_deciders() }
#ifndef QUICK /* for P4 the same as being lost; the two properties of P3 are checked with it in any case */
    :: atomic { !changed -> changed = true; dies[OTHER] = true; take_back(OTHER); fence_off_deciders() } /* it only forwards to OWN */
#endif
    :: atomic { !listed[NEW] -> listed[NEW] = true; owner = 0 }
    :: atomic { cleared && troubles > 0 -> troubles--; cleared = false; by = OWN }
    :: atomic { cleared -> account_service_asks() }
    :: break
    od
}

/* The wait of a route's step ends some time. */
proctype waits() {
end_waits:
    do
    :: atomic { waiting(OTHER) -> tried[OTHER] = waited }
    :: atomic { waiting(NEW) -> tried[NEW] = waited }
    od
}

init {
    atomic {
        dies[OWN] = true;
        listed[OWN] = true;
        if
        :: listed[OTHER] = true
        :: changed = true /* there is none */
        fi;
        run worker(1);
        run worker(2);
        run waits();
        run world()
    }
}

#define settled (cleared || desk)
#define rests_on_nothing (cleared && (lost[by] || dies[by] || !proven[by]))
#define is_used (tried[NEW] != untried || lost[NEW] || cleared)

ltl taken_back { [] !rests_on_nothing }
ltl looked_after { [] <> settled }
ltl planned_again { [] (survives(NEW) -> <> is_used) }
