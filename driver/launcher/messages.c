/* Writing to standard output and standard error. */
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes one line of our own to standard error, in one call, so that lines of parallel compiles do not mix. */
void say(const char *format, ...)
{
    char line[1024];
    va_list list;
    va_start(list, format);
    int length = snprintf(line, sizeof line, "distplusplus: ");
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, list);
    va_end(list);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(2, line, (size_t)length) < 0)
        return; /* there is nowhere left to report it */
}

/* Writes all of `data`. 0, or -1 with errno. */
int write_all(int to, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(to, data, size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* Whether a left or right single quotation mark in UTF-8 begins here. */
static int is_quote(const char *text)
{
    return memcmp(text, "\xe2\x80\x98", 3) == 0 || memcmp(text, "\xe2\x80\x99", 3) == 0;
}

/* Puts a compiler's message into the user's character set: servers use UTF-8, and GCC writes quotation marks in it.
 * 0, or -1 if the text has other characters that the user's set may lack. */
int to_user_charset(char *text, size_t *size)
{
    size_t kept = 0;
    while (kept < *size && !(text[kept] & 0x80))
        kept++;
    if (kept == *size)
        return 0;
    setlocale(LC_CTYPE, ""); /* a locale that is not installed leaves "C", as it does for the compiler */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return 0;
    for (size_t index = kept; index < *size; index++) {
        if (index + 2 < *size && is_quote(text + index)) {
            text[kept++] = '\'';
            index += 2;
        } else if (text[index] & 0x80) {
            return -1;
        } else {
            text[kept++] = text[index];
        }
    }
    *size = kept;
    return 0;
}
