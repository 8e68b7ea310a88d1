/* fake_consul.h - an agent that says what the test says, on the test's own
 * loop.
 *
 * Requests wait, oldest first, until the test answers them; nothing is answered
 * by itself.  After support.h. */
#ifndef WEFT_TEST_FAKE_CONSUL_H
#define WEFT_TEST_FAKE_CONSUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

#define FAKE_PENDING 128

typedef struct fake_conn fake_conn;

typedef struct fake_consul {
    struct event_base *base;
    struct event *accept;
    int fd;
    uint16_t port;
    fake_conn *conns;
    fake_conn *pending[FAKE_PENDING];
    size_t n_pending;
    unsigned accepted, requests;
    bool hang_up; /* close each request's connection without a byte */
} fake_consul;

void fake_open(fake_consul *f, struct event_base *base);
void fake_close(fake_consul *f);

/* Of the i-th waiting request, oldest first; the test fails if there is none.
 */
const char *fake_method(const fake_consul *f, size_t i);
const char *fake_path(const fake_consul *f, size_t i);
const char *fake_head(const fake_consul *f, size_t i);
const char *fake_body(const fake_consul *f, size_t i);

/* Answers it.  index 0: no X-Consul-Index.  headers: more of them, each with
 * its CRLF, or NULL. */
void fake_answer(fake_consul *f, size_t i, int code, uint64_t index,
                 const char *headers, const char *body);

/* Sends these bytes, and hangs up if told so. */
void fake_raw(fake_consul *f, size_t i, const void *bytes, size_t n,
              bool hang_up);

#endif /* WEFT_TEST_FAKE_CONSUL_H */
