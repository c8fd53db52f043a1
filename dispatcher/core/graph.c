/* graph: see graph.h.
 *
 * Every address is one node. A contact point lends its node its status and its conditions: every depends_on is one, all of its
 * forwards_to together are one. Two contact points with the same address lend theirs to the same node, so that of contradicting
 * entries the worse one holds.
 *
 * The least fixed point is found from the bottom: nodes without conditions that may live are alive, each tells those
 * that wait for it, and a node whose last condition is met comes alive in turn. Every edge is looked at once, nothing
 * recurses, and a circle that nothing outside holds up never comes alive.
 *
 * Fails: with the path of the member that cannot be an address, or for want of memory. */
#include "dispatcher/core/graph.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LINEAR_MAX = 12 /* up to here comparing strings is cheaper than a table */ };

bool status_usable(enum contact_status status) {
    return status == CONTACT_ACTIVE || status == CONTACT_UNVERIFIED;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

static const char kind_letters[] = {[ADDRESS_MAILBOX] = 'm', [ADDRESS_E164] = 'n', [ADDRESS_TOKEN] = 't', [ADDRESS_LOGIN] = 'l'};

/* The node with this address, or SIZE_MAX. `key` is the kind's letter and the canonical address. */
static size_t find_node(const struct graph *graph, const char *key) {
    if (graph->mapped) {
        size_t i = SIZE_MAX;
        return str_map_find(&graph->by_key, key, &i) ? i : SIZE_MAX;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        if (kind_letters[node->kind] == key[0] && node->valid && strcmp(node->canonical, key + 1) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static enum doomed_why why_doomed(const struct reach_question *question, const char *canonical) {
    enum doomed_why why = doomed_set_find(question->doomed, canonical);
    bool too = why == DOOMED_NOT && question->dies_too != NULL && question->dies_too(question->dies_too_ctx, canonical);
    return too ? DOOMED_AUDIENCE : why;
}

static size_t push_node(struct graph *graph, enum address_kind kind, const char *canonical) {
    struct node *node = &graph->nodes[graph->n_nodes];
    *node = (struct node){.kind = kind, .status = CONTACT_ACTIVE, .valid = true, .first = SIZE_MAX, .canonical = canonical};
    if (kind == ADDRESS_MAILBOX || kind == ADDRESS_E164) {
        node->why = why_doomed(graph->question, canonical);
    }
    return graph->n_nodes++;
}

/* A node that nothing else can be: what is wrong with it is in *err. SIZE_MAX when there is no memory. */
static size_t push_invalid(struct graph *graph, enum address_kind kind, const struct err *why, struct err *err) {
    const char *text = arena_strdup(graph->arena, why->text);
    if (text == NULL) {
        (void)err_no_memory(err);
        return SIZE_MAX;
    }
    size_t i = push_node(graph, ADDRESS_TOKEN, "");
    graph->nodes[i].kind = kind;
    graph->nodes[i].valid = false;
    graph->nodes[i].invalid = text;
    return i;
}

/* Kind letter and canonical address in the arena; NULL with *err (ERR_MEMBER: the address cannot be one). */
static const char *make_key(struct graph *graph, enum address_kind kind, const char *address, struct err *err) {
    char buffer[MAILBOX_MAX];
    const char *canonical = NULL;
    if (address_canon(graph->question->rules, kind, address, buffer, &canonical, err) != 0) {
        return NULL;
    }
    size_t len = strlen(canonical);
    char *key = arena_alloc(graph->arena, len + 2);
    if (key == NULL) {
        (void)err_no_memory(err);
        return NULL;
    }
    key[0] = kind_letters[kind];
    memcpy(key + 1, canonical, len + 1);
    return key;
}

/* The node of a key, made where there is none yet. */
static size_t node_for(struct graph *graph, enum address_kind kind, const char *key) {
    size_t i = find_node(graph, key);
    if (i == SIZE_MAX) {
        i = push_node(graph, kind, key + 1);
        if (graph->mapped) {
            (void)str_map_add(&graph->by_key, key, i);
        }
    }
    return i;
}

/* What becomes of an address that cannot be one: an invalid node where that is tolerated, else SIZE_MAX with its member in *err. */
static size_t invalid_node(struct graph *graph, enum address_kind kind, const char *member, struct err *why, struct err *err) {
    if (why->code == ERR_MEMBER && graph->question->tolerate_invalid) {
        return push_invalid(graph, kind, why, err);
    }
    if (err != NULL) {
        *err = *why;
        if (why->code == ERR_MEMBER) {
            (void)snprintf(err->member, sizeof err->member, "%s", member);
        }
    }
    return SIZE_MAX;
}

/* ---- contact points and their conditions --------------------------------------------------------------------------- */

static int add_contact(struct graph *graph, size_t c, struct err *err) {
    const struct contact *point = &graph->question->customer->contacts[c];
    enum address_kind kind = channel_traits(point->channel)->address;
    struct err why;
    const char *key = make_key(graph, kind, point->address, &why);
    size_t i;
    if (key != NULL) {
        i = node_for(graph, kind, key);
    } else {
        char member[64];
        (void)snprintf(member, sizeof member, "customer.contacts[%zu].address", c);
        i = invalid_node(graph, kind, member, &why, err);
        if (i == SIZE_MAX) {
            return -1;
        }
    }
    struct node *node = &graph->nodes[i];
    graph->node_of[c] = i;
    if (node->first == SIZE_MAX) {
        node->first = node->status_from = c;
    }
    if (point->status > node->status) {
        node->status = point->status;
        node->status_from = c;
    }
    node->changed |= graph->question->suspect_since_ms != 0 && point->changed_at_ms > graph->question->suspect_since_ms;
    return 0;
}

/* A token or login as a target must be one of the customer's contact points. */
static size_t find_opaque(const struct graph *graph, char *key) {
    size_t i = find_node(graph, key);
    if (i == SIZE_MAX) {
        key[0] = kind_letters[ADDRESS_LOGIN];
        i = find_node(graph, key);
    }
    return i;
}

static size_t target_node(struct graph *graph, const char *address, const char *member, struct err *err) {
    enum address_kind kind = address_kind_of(address);
    struct err why;
    const char *key = make_key(graph, kind, address, &why);
    if (key == NULL) {
        return invalid_node(graph, kind, member, &why, err);
    }
    if (kind != ADDRESS_TOKEN) {
        return node_for(graph, kind, key);
    }
    char *opaque = arena_strdup(graph->arena, key);
    if (opaque == NULL) {
        (void)err_no_memory(err);
        return SIZE_MAX;
    }
    size_t i = find_opaque(graph, opaque);
    if (i == SIZE_MAX) {
        (void)err_set(&why, ERR_MEMBER, "it is neither a contact point of this customer nor an e-mail address nor a number");
        return invalid_node(graph, kind, member, &why, err);
    }
    return i;
}

static int add_edges(struct graph *graph, size_t c, const struct address_list *list, bool forward, struct err *err) {
    for (size_t k = 0; k < list->n; k++) {
        char member[80];
        (void)snprintf(member, sizeof member, "customer.contacts[%zu].%s[%zu]", c, forward ? "forwards_to" : "depends_on", k);
        size_t target = target_node(graph, list->items[k], member, err);
        if (target == SIZE_MAX) {
            return -1;
        }
        graph->edges[graph->n_edges++] = (struct edge){target, c, list->items[k], forward};
    }
    return 0;
}

/* ---- the fixed point ----------------------------------------------------------------------------------------------- */

struct solver {
    size_t *missing;   /* per node: conditions not met yet */
    size_t *out_start; /* per node: where its waiting edges begin in `out`; one more at the end */
    size_t *out;       /* edges by target */
    size_t *queue;
    bool *forwarded; /* per contact point: one of its forwards_to is alive */
};

static int solver_init(struct solver *s, const struct graph *graph, struct err *err) {
    struct arena *arena = graph->arena;
    s->missing = arena_array(arena, graph->n_nodes, sizeof *s->missing);
    s->out_start = arena_array(arena, graph->n_nodes + 1, sizeof *s->out_start);
    s->out = arena_array(arena, graph->n_edges, sizeof *s->out);
    s->queue = arena_array(arena, graph->n_nodes, sizeof *s->queue);
    s->forwarded = arena_array(arena, graph->question->customer->n_contacts, sizeof *s->forwarded);
    if (s->missing == NULL || s->out_start == NULL || s->out == NULL || s->queue == NULL || s->forwarded == NULL) {
        return err_no_memory(err);
    }
    for (size_t e = 0; e < graph->n_edges; e++) {
        s->out_start[graph->edges[e].target + 1]++;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        s->out_start[i + 1] += s->out_start[i];
        s->queue[i] = s->out_start[i];
    }
    for (size_t e = 0; e < graph->n_edges; e++) {
        s->out[s->queue[graph->edges[e].target]++] = e;
    }
    return 0;
}

static bool may_live(const struct node *node, enum world world) {
    switch (world) {
    case WORLD_AFTER: return node->valid && status_usable(node->status) && node->why == DOOMED_NOT;
    case WORLD_BEFORE: return node->valid && status_usable(node->status);
    case WORLD_ANYHOW:
    case WORLD_COUNT: break;
    }
    return true;
}

static void count_conditions(struct solver *s, const struct graph *graph) {
    const struct customer *customer = graph->question->customer;
    memset(s->missing, 0, graph->n_nodes * sizeof *s->missing);
    memset(s->forwarded, 0, customer->n_contacts * sizeof *s->forwarded);
    for (size_t c = 0; c < customer->n_contacts; c++) {
        const struct contact *point = &customer->contacts[c];
        s->missing[graph->node_of[c]] += point->depends_on.n + (point->forwards_to.n > 0 ? 1 : 0);
    }
}

/* An edge whose target is alive: whether it has met a condition of its source's node. */
static bool meets_condition(struct solver *s, const struct edge *edge) {
    if (!edge->forward) {
        return true;
    }
    bool first = !s->forwarded[edge->source];
    s->forwarded[edge->source] = true;
    return first;
}

static void solve(struct solver *s, struct graph *graph, enum world world) {
    size_t head = 0, tail = 0;
    count_conditions(s, graph);
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (s->missing[i] == 0 && may_live(&graph->nodes[i], world)) {
            graph->nodes[i].alive[world] = true;
            s->queue[tail++] = i;
        }
    }
    while (head < tail) {
        size_t i = s->queue[head++];
        for (size_t k = s->out_start[i]; k < s->out_start[i + 1]; k++) {
            const struct edge *edge = &graph->edges[s->out[k]];
            size_t waiting = graph->node_of[edge->source];
            if (meets_condition(s, edge) && --s->missing[waiting] == 0 && may_live(&graph->nodes[waiting], world)) {
                graph->nodes[waiting].alive[world] = true;
                s->queue[tail++] = waiting;
            }
        }
    }
}

/* Without conditions nothing has to be solved. */
static void solve_plainly(struct graph *graph) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        for (int world = 0; world < WORLD_COUNT; world++) {
            graph->nodes[i].alive[world] = may_live(&graph->nodes[i], (enum world)world);
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static int graph_alloc(struct graph *graph, size_t n_edges, struct err *err) {
    size_t n = graph->question->customer->n_contacts;
    graph->nodes = arena_array(graph->arena, n + n_edges, sizeof *graph->nodes);
    graph->node_of = arena_array(graph->arena, n, sizeof *graph->node_of);
    graph->first_edge = arena_array(graph->arena, n + 1, sizeof *graph->first_edge);
    graph->edges = arena_array(graph->arena, n_edges, sizeof *graph->edges);
    graph->mapped = n + n_edges > LINEAR_MAX;
    if (graph->nodes == NULL || graph->node_of == NULL || graph->first_edge == NULL || graph->edges == NULL ||
        (graph->mapped && str_map_init(&graph->by_key, n + n_edges, graph->arena) != 0)) {
        return err_no_memory(err);
    }
    return 0;
}

int graph_make(struct graph *graph, const struct reach_question *question, struct arena *arena, struct err *err) {
    const struct customer *customer = question->customer;
    size_t n_edges = 0;
    for (size_t c = 0; c < customer->n_contacts; c++) {
        n_edges += customer->contacts[c].depends_on.n + customer->contacts[c].forwards_to.n;
    }
    *graph = (struct graph){.question = question, .arena = arena};
    if (graph_alloc(graph, n_edges, err) != 0) {
        return -1;
    }
    for (size_t c = 0; c < customer->n_contacts; c++) {
        if (add_contact(graph, c, err) != 0) {
            return -1;
        }
    }
    for (size_t c = 0; c < customer->n_contacts; c++) {
        graph->first_edge[c] = graph->n_edges;
        if (add_edges(graph, c, &customer->contacts[c].depends_on, false, err) != 0 ||
            add_edges(graph, c, &customer->contacts[c].forwards_to, true, err) != 0) {
            return -1;
        }
    }
    graph->first_edge[customer->n_contacts] = graph->n_edges;
    if (n_edges == 0) {
        solve_plainly(graph);
        return 0;
    }
    struct solver solver;
    if (solver_init(&solver, graph, err) != 0) {
        return -1;
    }
    for (int world = 0; world < WORLD_COUNT; world++) {
        solve(&solver, graph, (enum world)world);
    }
    return 0;
}
