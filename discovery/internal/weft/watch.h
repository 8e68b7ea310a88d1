/* weft/watch.h - subscribing to a target.
 *
 * Watches are shared by loop and canonical target.  The first subscriber starts
 * the resolver, the last one's leaving closes it. */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/resolver.h>

typedef struct weft__watch_sub weft__watch_sub;

/* list (borrowed for the call; ref it to keep it) is the whole truth, maybe
 * empty.  list NULL: there is none yet, status and text say why; the resolver
 * keeps trying, and a list may still come.  Never on the stack of subscribe; a
 * late subscriber is told the current list at once.  May subscribe and
 * unsubscribe, itself included. */
typedef void (*weft__watch_cb)(const weft_endpoints *list, weft_status status,
                               const char *text, void *user);

/* Gives *out: weft__watch_unsubscribe().  On failure why (size bytes, may be
 * NULL) is a sentence for the user: ESYNTAX or EINVAL for a target that can
 * never work, ECLOSED, ENOMEM. */
weft_status weft__watch_subscribe(weft__watch_sub **out, weft_loop *loop,
                                  const char *target, weft__watch_cb on_update,
                                  void *user, char *why, size_t size);

/* Takes sub (NULL is fine): no callback follows.  Legal in its callback, and
 * after the loop began to close. */
void weft__watch_unsubscribe(weft__watch_sub *sub);

/* What the subscription's watch knows. */
void weft__watch_sub_info(const weft__watch_sub *sub, weft_watch_info *out);

/* Checks a target's syntax and scheme without watching it: the same sentences.
 */
weft_status weft__watch_check(const char *target, char *why, size_t size);

#endif /* WEFT_WATCH_H */
