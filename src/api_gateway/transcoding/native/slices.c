#include "codec.h"

enum { INLINE_SLICES = 16 };

void slices_open(SliceSet *set)
{
    set->slices = set->inline_slices;
    set->count = 0;
    set->capacity = INLINE_SLICES;
}

void slices_close(SliceSet *set)
{
    if (set->slices != set->inline_slices)
        free(set->slices);
}

/* FNV-1a, from another start than that of field names. */
static size_t slot_of(const char *text, size_t length, size_t capacity)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t index = 0; index < length; index++)
        hash = (hash ^ (uint8_t)text[index]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32) & (capacity - 1);
}

/* Put a slice into a table that has room. Empty slots have the length SIZE_MAX. */
static bool insert(Slice *table, size_t capacity, const char *buffer, Slice slice)
{
    size_t slot = slot_of(buffer + slice.start, slice.length, capacity);
    /* Keys chosen to meet in one slot would make this quadratic; the plain codec then decides. */
    for (int probes = 0; probes < 64; probes++) {
        if (table[slot].length == SIZE_MAX) {
            table[slot] = slice;
            return true;
        }
        if (table[slot].length == slice.length &&
            memcmp(buffer + table[slot].start, buffer + slice.start, slice.length) == 0)
            return false;
        slot = (slot + 1) & (capacity - 1);
    }
    return false;
}

static bool grow(SliceSet *set, const char *buffer)
{
    size_t capacity = set->capacity * 4;
    Slice *table = malloc(capacity * sizeof(Slice));
    if (table == NULL)
        return false;
    for (size_t slot = 0; slot < capacity; slot++)
        table[slot] = (Slice){.start = 0, .length = SIZE_MAX};
    bool is_inline = set->slices == set->inline_slices, is_good = true;
    for (size_t slot = 0; slot < set->capacity && is_good; slot++)
        if ((is_inline && slot < set->count) || (!is_inline && set->slices[slot].length != SIZE_MAX))
            is_good = insert(table, capacity, buffer, set->slices[slot]);
    slices_close(set);
    set->slices = table;
    set->capacity = capacity;
    return is_good;
}

bool slices_add(SliceSet *set, const char *buffer, size_t start, size_t length)
{
    const Slice slice = {.start = start, .length = length};
    if (set->slices == set->inline_slices && set->count < INLINE_SLICES) {
        for (size_t index = 0; index < set->count; index++)
            if (set->slices[index].length == length &&
                memcmp(buffer + set->slices[index].start, buffer + start, length) == 0)
                return false;
        set->slices[set->count++] = slice;
        return true;
    }
    if ((set->slices == set->inline_slices || set->count * 2 >= set->capacity) && !grow(set, buffer))
        return false;
    set->count++;
    return insert(set->slices, set->capacity, buffer, slice);
}
