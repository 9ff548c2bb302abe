/* The two directions. Both return true when they took the whole input, and false when the plain codec must decide: about
   errors, about what is rare, and about what is odd. They set no exception. */
#ifndef API_GATEWAY_CODEC_H
#define API_GATEWAY_CODEC_H

#include "output.h"
#include "plan.h"

bool message_to_json(const Message *message, const uint8_t *data, size_t size, Output *output);
bool message_from_json(const Message *message, const char *text, size_t size, Output *output);

/* Texts met before, by their place in a buffer: finds keys that come twice in a map. */
typedef struct {
    size_t start, length;
} Slice;

typedef struct {
    Slice inline_slices[16];
    Slice *slices;  /* inline_slices, or a table of open addressing */
    size_t count, capacity;
} SliceSet;

void slices_open(SliceSet *set);
void slices_close(SliceSet *set);

/* Add a slice of `buffer`. Returns false when it is there already, or when there is no memory. */
bool slices_add(SliceSet *set, const char *buffer, size_t start, size_t length);

static inline const uint8_t *read_varint(const uint8_t *data, const uint8_t *end, uint64_t *value)
{
    if (data < end && *data < 0x80) {
        *value = *data;
        return data + 1;
    }
    uint64_t result = 0;
    for (int shift = 0; shift < 70 && data < end; shift += 7) {
        uint8_t byte = *data++;
        if (shift == 63 && byte > 1)
            return NULL;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return data;
        }
    }
    return NULL;
}

static inline size_t put_varint_at(char *target, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        target[size++] = (char)(value | 0x80);
        value >>= 7;
    }
    target[size++] = (char)value;
    return size;
}

static inline void put_varint(Output *output, uint64_t value)
{
    if (output_reserve(output, 10))
        output->length += put_varint_at(output->data + output->length, value);
}

#endif
