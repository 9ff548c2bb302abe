/* Texts inside JSON: strings, base64, points and spans of time. Everything returns false for what it does not take. */
#ifndef API_GATEWAY_TEXT_H
#define API_GATEWAY_TEXT_H

#include "output.h"

/* Whether bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool is_utf8(const char *text, size_t length);

/* Return the position of the first byte from `start` on that a JSON string cannot carry as it is, or that is not ASCII:
   quote, backslash, control character, byte above 0x7f. `end` when there is none. */
const char *find_special(const char *start, const char *end);

/* Write a JSON string with its quotes. False when the text is not UTF-8. */
bool put_json_string(Output *output, const char *text, size_t length);

/* Write what a JSON string stands for; `text` is between its quotes. False for broken escapes, half surrogate pairs,
   control characters and invalid UTF-8. */
bool put_unescaped(Output *output, const char *text, size_t length);

void put_base64(Output *output, const uint8_t *data, size_t length);

/* Write the bytes of standard base64 with padding. False for everything else; other alphabets are the plain codec's. */
bool put_base64_decoded(Output *output, const char *text, size_t length);

void put_unsigned(Output *output, uint64_t value);
void put_signed(Output *output, int64_t value);

/* Write `"2024-01-15T10:30:45.123Z"` (RFC 3339). False beyond the years 1 to 9999. */
bool put_timestamp(Output *output, int64_t seconds, int32_t nanos);

/* Read the same, `Z` only. False for anything else. */
bool read_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos);

/* Write `"-1.500s"`. False beyond 10,000 years or when the signs differ. */
bool put_duration(Output *output, int64_t seconds, int32_t nanos);

/* Read the same. False for anything else. */
bool read_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos);

#endif
