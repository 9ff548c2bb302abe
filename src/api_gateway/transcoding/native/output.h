/* A growing byte buffer. After a failed allocation it stays valid and `failed` is set: check it once, at the end. */
#ifndef API_GATEWAY_OUTPUT_H
#define API_GATEWAY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
} Output;

static inline bool output_open(Output *output, size_t capacity)
{
    output->data = malloc(capacity);
    output->length = 0;
    output->capacity = capacity;
    output->failed = output->data == NULL;
    return !output->failed;
}

static inline void output_close(Output *output)
{
    free(output->data);
    output->data = NULL;
}

/* Make room for `size` more bytes. Returns false when there is no memory; then nothing may be written. */
static inline bool output_reserve(Output *output, size_t size)
{
    if (output->capacity - output->length >= size)
        return true;
    if (output->failed || size > SIZE_MAX / 4 || output->capacity > SIZE_MAX / 4) {
        output->failed = true;
        return false;
    }
    size_t capacity = output->capacity * 2;
    if (capacity < output->length + size)
        capacity = output->length + size;
    char *data = realloc(output->data, capacity);
    if (data == NULL) {
        output->failed = true;
        return false;
    }
    output->data = data;
    output->capacity = capacity;
    return true;
}

static inline void put_bytes(Output *output, const char *data, size_t size)
{
    if (output_reserve(output, size)) {
        memcpy(output->data + output->length, data, size);
        output->length += size;
    }
}

static inline void put_char(Output *output, char character)
{
    if (output_reserve(output, 1))
        output->data[output->length++] = character;
}

#define PUT_LITERAL(output, literal) put_bytes(output, literal, sizeof(literal) - 1)

#endif
