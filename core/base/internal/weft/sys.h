/* weft/sys.h - the calls that differ between systems, each with a portable
 * fallback (compile with -DWEFT_PORTABLE to test those on Linux). */
#ifndef WEFT_SYS_H
#define WEFT_SYS_H

#include <sys/socket.h>
#include <sys/uio.h>
#include <weft/status.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* there, sockets are made with SO_NOSIGPIPE */
#endif

/* A descriptor to wait on and one to write to; the same one with eventfd. */
typedef struct weft__wakeup {
    int read_fd, write_fd;
} weft__wakeup;
weft_status weft__wakeup_init(weft__wakeup *w);
void weft__wakeup_signal(const weft__wakeup *w); /* any thread, never blocks */
void weft__wakeup_drain(const weft__wakeup *w);
void weft__wakeup_fini(weft__wakeup *w);

/* Non-blocking and close-on-exec; -1 and errno. */
int weft__sys_socket(int family, int type);
int weft__sys_accept(int fd, struct sockaddr *sa, socklen_t *len);
int weft__sys_socketpair(int fds[2]);

/* writev that never raises SIGPIPE. */
ssize_t weft__sys_writev(int fd, const struct iovec *iov, int n);

/* Bytes written to a stream socket that the peer has not taken (TCP: not
 * acknowledged); 0 where the system does not tell. */
size_t weft__sys_unsent(int fd);

/* A coarse monotonic clock that costs next to nothing. */
uint64_t weft__sys_coarse_ns(void);

/* A descriptor that becomes readable when the time comes that was set last;
 * -1: this system has none, or no descriptor is left. */
int weft__sys_timer_new(void);
void weft__sys_timer_set(int fd, uint64_t delay_ns);
void weft__sys_timer_drain(int fd);

/* Random bytes for seeds; never fails. */
void weft__sys_random(void *out, size_t n);

uint64_t weft__sys_thread_id(void);

/* From now on this thread runs when no other wants its CPU, and makes room at
 * once for one that does; where the system has no such thing it is as it was.
 */
void weft__sys_background(void);

/* The status for an errno of a socket call. */
weft_status weft__sys_status(int err);

#endif /* WEFT_SYS_H */
