/* file.c - declarations of a document's snippet, at file level. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "helloworld.pb-c.h"

/* snippet */
