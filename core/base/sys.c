/* sys.c - the calls that differ between systems.
 *
 * Linux first, what POSIX has for everybody else; WEFT_PORTABLE chooses the
 * latter on Linux as well. */
#include <weft/sys.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__) && !defined(WEFT_PORTABLE)
#define ON_LINUX 1
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#else
#define ON_LINUX 0
#endif

enum {
    MAX_IOV = 1024 /* what POSIX systems accept at least in practice */
};

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Fills with what no random device is needed for; for seeds only. */
static void random_fallback(uint8_t *out, size_t n)
{
    static atomic_uint_least64_t counter;
    uint64_t x = clock_ns(CLOCK_REALTIME) ^ clock_ns(CLOCK_MONOTONIC) << 20 ^
                 (uint64_t)getpid() << 40;

    x += atomic_fetch_add(&counter, 1) * UINT64_C(0x9E3779B97F4A7C15);
    for (; n > 0; n--) { /* splitmix64 (Steele et al., 2014) */
        uint64_t z = x += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        *out++ = (uint8_t)(z >> 56);
    }
}

#if ON_LINUX

weft_status weft__wakeup_init(weft__wakeup *w)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0)
        return weft__sys_status(errno);
    w->read_fd = w->write_fd = fd;
    return WEFT_OK;
}

int weft__sys_socket(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int weft__sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    return accept4(fd, sa, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int weft__sys_socketpair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                      fds);
}

size_t weft__sys_unsent(int fd)
{
    int n = 0;

    return ioctl(fd, TIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

int weft__sys_timer_new(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

void weft__sys_timer_set(int fd, uint64_t delay_ns)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(delay_ns / 1000000000u),
                     .tv_nsec = (long)(delay_ns % 1000000000u)}};

    if (delay_ns == 0)
        when.it_value.tv_nsec = 1; /* 0 would be never */
    timerfd_settime(fd, 0, &when, NULL);
}

void weft__sys_timer_drain(int fd)
{
    uint64_t times;
    ssize_t n;

    do
        n = read(fd, &times, sizeof times);
    while (n < 0 && errno == EINTR);
}

uint64_t weft__sys_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE);
}

static size_t random_bytes(uint8_t *out, size_t n)
{
    ssize_t got = getrandom(out, n, GRND_NONBLOCK);

    return got > 0 ? (size_t)got : 0;
}

#else

/* Non-blocking, close-on-exec and without SIGPIPE; closes fd if that fails. */
static int prepare(int fd)
{
    int flags;

    if (fd < 0)
        return -1;
    if ((flags = fcntl(fd, F_GETFL)) < 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    return fd;
}

static int prepare_pair(int fds[2])
{
    if (prepare(fds[0]) < 0) {
        close(fds[1]);
        return -1;
    }
    if (prepare(fds[1]) < 0) {
        close(fds[0]);
        return -1;
    }
    return 0;
}

weft_status weft__wakeup_init(weft__wakeup *w)
{
    int fds[2];

    if (pipe(fds) < 0 || prepare_pair(fds) < 0)
        return weft__sys_status(errno);
    w->read_fd = fds[0];
    w->write_fd = fds[1];
    return WEFT_OK;
}

int weft__sys_socket(int family, int type)
{
    return prepare(socket(family, type, 0));
}

int weft__sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    return prepare(accept(fd, sa, len));
}

int weft__sys_socketpair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    return prepare_pair(fds);
}

size_t weft__sys_unsent(int fd)
{
    (void)fd;
    return 0;
}

int weft__sys_timer_new(void)
{
    return -1;
}

void weft__sys_timer_set(int fd, uint64_t delay_ns)
{
    (void)fd;
    (void)delay_ns;
}

void weft__sys_timer_drain(int fd)
{
    (void)fd;
}

uint64_t weft__sys_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static size_t random_bytes(uint8_t *out, size_t n)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, n) : -1;

    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}

#endif

/* An eventfd takes and gives 8 bytes; a pipe does not mind.  A full one has
 * woken its reader already. */
void weft__wakeup_signal(const weft__wakeup *w)
{
    const uint64_t one = 1;
    ssize_t n;

    do
        n = write(w->write_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

void weft__wakeup_drain(const weft__wakeup *w)
{
    uint8_t bytes[256];
    ssize_t n;

    do
        n = read(w->read_fd, bytes, sizeof bytes);
    while (n == (ssize_t)sizeof bytes || (n < 0 && errno == EINTR));
}

void weft__wakeup_fini(weft__wakeup *w)
{
    if (w->write_fd >= 0 && w->write_fd != w->read_fd)
        close(w->write_fd);
    if (w->read_fd >= 0)
        close(w->read_fd);
    w->read_fd = w->write_fd = -1;
}

ssize_t weft__sys_writev(int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)(n < MAX_IOV ? n : MAX_IOV),
    };
    ssize_t sent;

    do
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

void weft__sys_random(void *out, size_t n)
{
    size_t got = random_bytes(out, n);

    if (got < n)
        random_fallback((uint8_t *)out + got, n - got);
}

/* Numbered, because systems use thread ids and addresses again. */
uint64_t weft__sys_thread_id(void)
{
    static atomic_uint_least64_t last;
    static _Thread_local uint64_t id;

    if (id == 0)
        id = atomic_fetch_add(&last, 1) + 1;
    return id;
}

void weft__sys_background(void)
{
#if ON_LINUX
    /* Being nice would not do: who is nice finishes its time slice first. */
    (void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
#endif
}

weft_status weft__sys_status(int err)
{
    switch (err) {
    case 0:
        return WEFT_OK;
    case EAGAIN:
    case EINTR:
    case EINPROGRESS:
        return WEFT_EAGAIN;
    case ENOMEM:
    case ENOBUFS:
        return WEFT_ENOMEM;
    case EMFILE:
    case ENFILE:
        return WEFT_ELIMIT;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EACCES:
    case ENAMETOOLONG:
        return WEFT_EADDR;
    case ECONNREFUSED:
    case ENOENT: /* a unix socket that nobody made */
        return WEFT_ECONNREFUSED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return WEFT_ECONNRESET;
    case ETIMEDOUT:
        return WEFT_ETIMEDOUT;
    case EINVAL:
        return WEFT_EINVAL;
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
        return WEFT_ENOTSUP;
    default:
        return WEFT_EIO;
    }
}
