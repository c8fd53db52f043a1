/* graph: one customer's contact points and what they hang on, and the least fixed point over it. Private to the core. */
#ifndef REACH_CORE_GRAPH_H
#define REACH_CORE_GRAPH_H

#include "dispatcher/core/doomed.h"
#include "dispatcher/core/hash.h"

/* The questions that are asked of the graph; each has its own least fixed point. */
enum world {
    WORLD_AFTER,  /* once the change is in force */
    WORLD_BEFORE, /* as long as it is not */
    WORLD_ANYHOW, /* if every address worked: what is dead even here leads in a circle */
    WORLD_COUNT
};

/* One address, however often it is listed: as a contact point, as a target, or both. */
struct node {
    enum address_kind kind;
    enum doomed_why why;
    enum contact_status status; /* the worst of all its entries; CONTACT_ACTIVE for a mere target */
    bool valid;                 /* false only where invalid addresses are tolerated */
    bool changed;               /* an entry was changed after suspect_since */
    bool alive[WORLD_COUNT];
    size_t first;       /* first contact point with this address, SIZE_MAX for a mere target */
    size_t status_from; /* the contact point that has the worst status */
    const char *canonical;
    const char *text;    /* as first written, for reasons; "" where it is not valid */
    const char *invalid; /* what is wrong with it, where it is not valid */
};

/* One entry of depends_on or forwards_to. */
struct edge {
    size_t target;    /* node */
    size_t source;    /* contact point */
    const char *text; /* the target as it is written here */
    bool forward;
};

struct graph {
    const struct reach_question *question;
    struct node *nodes;
    size_t n_nodes;
    size_t *node_of;    /* per contact point */
    struct edge *edges; /* in the order of the contact points; depends_on before forwards_to */
    size_t n_edges;
    size_t *first_edge;    /* per contact point; one more at the end */
    struct str_map by_key; /* kind and canonical address -> node; used for large customers only */
    bool mapped;
    struct arena *arena;
};

/* Builds the graph of question->customer and solves it for every world. Linear in the customer's size. 0, or -1 with *err. */
int graph_make(struct graph *graph, const struct reach_question *question, struct arena *arena, struct err *err);

/* Whether messages may be sent to a contact point of that status at all. */
bool status_usable(enum contact_status status);

#endif
