/* weft/group_internal.h - what servers and channels on a group need of it.
 *
 * Something that lives on a group is a team: one part on each loop, which only
 * that loop's thread touches, and a few atomics that they share.  A part tells
 * another one that these have changed by a nudge. */
#ifndef WEFT_GROUP_INTERNAL_H
#define WEFT_GROUP_INTERNAL_H

#include <stdatomic.h>
#include <weft/group.h>
#include <weft/loop_internal.h>

weft_group *weft__group_ref(weft_group *group); /* from any thread */
void weft__group_unref(weft_group *group);

/* Who is told, on the first loop's thread, when the group has ended: all that
 * lived on the further loops has ended before. */
typedef struct weft__group_member weft__group_member;
struct weft__group_member {
    weft__group_member *next, **pprev;
    void (*ended)(weft__group_member *member);
};
/* False: it has ended already. */
bool weft__group_join(weft_group *group, weft__group_member *member);
void weft__group_leave(weft__group_member *member);

/* Counted memory that parts on several loops share. */
typedef struct weft__team weft__team;
struct weft__team {
    atomic_uint refs;
    weft_group *group;
    void (*free)(weft__team *team); /* on the thread that lets go last */
};
void weft__team_init(weft__team *team, weft_group *group,
                     void (*free)(weft__team *team)); /* with one reference */
void weft__team_ref(weft__team *team);
void weft__team_unref(weft__team *team); /* NULL is fine */

/* Makes fn(arg) run once on loop `to`, soon, however often it is asked for
 * until then.  Allocates nothing; keeps the team until fn has run. */
typedef struct weft__nudge {
    weft__post post;
    atomic_bool queued;
    weft__team *team;
    size_t to;
    void (*fn)(void *arg);
    void *arg;
} weft__nudge;
void weft__nudge_init(weft__nudge *nudge, weft__team *team, size_t to,
                      void (*fn)(void *arg), void *arg);
/* From any thread.  False: that loop has gone, with all that lived on it. */
bool weft__nudge_send(weft__nudge *nudge);

#endif /* WEFT_GROUP_INTERNAL_H */
