/* status.c - names and texts of every status, and gorpc's codes. */
#include <weft/status.h>

static const struct {
    int code;
    const char *name, *text;
} table[] = {
#define ROW(name, code, text) {code, #name, text},
    WEFT_STATUS_TABLE(ROW)
#undef ROW
};

#define ROWS (sizeof(table) / sizeof(table[0]))

const char *weft_status_name(int status)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].code == status)
            return table[i].name;
    return "UNKNOWN_STATUS";
}

const char *weft_status_text(int status)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].code == status)
            return table[i].text;
    return "unknown status";
}

weft_status weft_status_to_rpc(int status)
{
    if (status >= 0)
        return status <= 16 ? (weft_status)status : WEFT_UNKNOWN;
    switch (status) {
    case WEFT_ENOMEM:
    case WEFT_ELIMIT:
        return WEFT_RESOURCE_EXHAUSTED;
    case WEFT_EINVAL:
    case WEFT_ESYNTAX:
        return WEFT_INVALID_ARGUMENT;
    case WEFT_EIO:
    case WEFT_EADDR:
    case WEFT_EPROTO:
    case WEFT_EOF:
    case WEFT_ECLOSED:
    case WEFT_ECONNREFUSED:
    case WEFT_ECONNRESET:
    case WEFT_ETIMEDOUT:
        return WEFT_UNAVAILABLE;
    case WEFT_ENOTSUP:
        return WEFT_UNIMPLEMENTED;
    default:
        return WEFT_INTERNAL;
    }
}

/* gorpc has few codes of its own and leaves the rest to the application, which
 * is where the canonical codes travel unchanged.  What gorpc itself would call
 * "server internal error" carries its code. */
uint32_t weft_status_to_gorpc(weft_status status)
{
    status = weft_status_to_rpc(status);
    switch (status) {
    case WEFT_UNKNOWN:
    case WEFT_UNIMPLEMENTED:
    case WEFT_INTERNAL:
        return 100;
    case WEFT_UNAUTHENTICATED:
        return 401;
    default:
        return (uint32_t)status;
    }
}

weft_status weft_status_from_gorpc(uint32_t code)
{
    switch (code) {
    case 100: /* server internal error */
        return WEFT_INTERNAL;
    case 101: /* configuration error */
        return WEFT_FAILED_PRECONDITION;
    case 201: /* network not supported */
        return WEFT_UNIMPLEMENTED;
    case 301: /* client message error: "method is invalid" and others */
        return WEFT_INVALID_ARGUMENT;
    case 401: /* certificate or authentication refused */
        return WEFT_UNAUTHENTICATED;
    default:
        return code <= 16 ? (weft_status)code : WEFT_UNKNOWN;
    }
}
