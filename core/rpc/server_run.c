/* server_run.c - a server's whole life on its loop, ended by a signal. */
#include "server_internal.h"

#include <signal.h>
#include <weft/signal.h>

/* Who passes signals on may send one twice, to the process and to its group as
 * timeout(1) does: so soon behind the first it is still the first. */
enum { SAME_SIGNAL_MS = 100 };

struct weft__server_run {
    weft_server *server; /* NULL: closed */
    weft__signals *signals;
    bool signalled;
    uint64_t signalled_ms;
    bool done, failed;
};

void weft__server_run_ended(weft_server *s)
{
    struct weft__server_run *run = s->run;

    if (run == NULL)
        return;
    if (s->status != WEFT_OK) {
        weft_log_error("server failed", "why=\"%s\"", s->error);
        run->failed = true;
    } else if (s->cancelled_calls) {
        weft_log_error("server closed before its calls were finished", NULL);
        run->failed = true;
    }
    weft__signals_close(run->signals); /* now: the loop may be ending */
    run->signals = NULL;
    run->server = NULL;
    run->done = true;
    s->run = NULL;
}

static void on_signal(int signum, void *user)
{
    struct weft__server_run *run = user;
    weft_server *s = run->server;
    uint64_t now_ms;

    if (s == NULL)
        return;
    now_ms = weft_loop_now_ms(s->loop);
    if (run->signalled && now_ms - run->signalled_ms < SAME_SIGNAL_MS)
        return;
    weft_log_info("signal", "signal=%s", signum == SIGINT ? "INT" : "TERM");
    if (!run->signalled) {
        run->signalled = true;
        run->signalled_ms = now_ms;
        weft__server_want_drain(s, 0);
        return;
    }
    weft_log_error("second signal: ends at once", NULL);
    run->failed = true;
    s->hurry = true;
    weft__server_end_now(s, WEFT_UNAVAILABLE);
}

static int refuse(const weft_server *s, weft_status status)
{
    const char *why = weft_server_error(s);

    weft_log_error("server failed", "why=\"%s\"",
                   why[0] == '\0' ? weft_status_text(status) : why);
    return 1;
}

int weft_server_run(weft_server *s)
{
    struct weft__server_run run = {.server = s};
    weft_status status;

    if (s == NULL || s->status != WEFT_OK)
        return refuse(s, WEFT_EINVAL);
    if (s->phase != WEFT__PHASE_NEW) {
        weft_log_error("server failed",
                       "why=\"run: the server has been started already\"");
        return 1;
    }
    status = weft__signals_new(&run.signals, s->loop, on_signal, &run);
    if (status != WEFT_OK) {
        weft__server_fail(
            s, status, "run: signals: %s",
            status == WEFT_ESTATE    ? "another server of the process has them"
            : status == WEFT_ENOTSUP ? "they are the application's on its own "
                                       "event_base; use weft_server_start()"
                                     : weft_status_text(status));
        return refuse(s, status);
    }
    status = weft_server_start(s, NULL, NULL);
    if (status != WEFT_OK) {
        weft__signals_close(run.signals);
        return refuse(s, status);
    }
    s->run = &run;
    status = weft_loop_run_until(s->loop, &run.done, 0);
    if (run.server != NULL) { /* weft_loop_stop(), or the loop failed */
        run.server->run = NULL;
        weft__signals_close(run.signals);
        weft_log_error("server's loop was stopped", "why=\"%s\"",
                       weft_status_text(status));
        run.failed = true;
    }
    return run.failed ? 1 : 0;
}
