/* ProtoJSON to serialized messages, without objects in between.

   Only what is certainly right is taken: a text with any doubt in it (an unknown member, a member twice, a number in an
   unusual spelling, a null in a list) is left to the plain codec, which also finds the words for errors. */

#include "codec.h"
#include "text.h"

#include <math.h>

enum { MAX_OBJECTS = 100000 }; /* as strict_json.MAX_MESSAGES */

typedef struct {
    const char *at;
    const char *end;
    Output *output;
    int depth;
    int object_count;
} Reader;

static bool read_message(Reader *reader, const Message *message);

/* Tokens */

static inline void skip_space(Reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
}

/* Skip space, then take `character` if it comes next. */
static inline bool take(Reader *reader, char character)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != character)
        return false;
    reader->at++;
    return true;
}

/* Count a message, a list or a map. */
static bool count_object(Reader *reader)
{
    return ++reader->object_count <= MAX_OBJECTS;
}

static bool take_word(Reader *reader, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

/* Take a string; `*text` is what stands between its quotes. `*is_plain` tells whether that is also what it means. */
static bool take_string(Reader *reader, const char **text, size_t *length, bool *is_plain)
{
    bool has_escape = false, has_wide = false;
    if (!take(reader, '"'))
        return false;
    *text = reader->at;
    for (;;) {
        const char *at = find_special(reader->at, reader->end);
        if (at == reader->end || (uint8_t)*at < 0x20)
            return false;
        reader->at = at + 1;
        if (*at == '"') {
            *length = (size_t)(at - *text);
            break;
        }
        if (*at == '\\') {
            has_escape = true;
            if (reader->at++ == reader->end)
                return false;
        } else {
            has_wide = true;
        }
    }
    *is_plain = !has_escape;
    return has_escape || !has_wide || is_utf8(*text, *length);
}

/* Take a string that needs no decoding. */
static bool take_plain_string(Reader *reader, const char **text, size_t *length)
{
    bool is_plain;
    return take_string(reader, text, length, &is_plain) && is_plain;
}

/* Lengths come before what they measure: one byte is left for them, and what was written moves when that is not enough. */
static size_t open_length(Output *output)
{
    put_char(output, 0);
    return output->length;
}

static void close_length(Output *output, size_t start)
{
    char size[10];
    size_t length = output->length - start, width = put_varint_at(size, length);
    if (output->failed || (width > 1 && !output_reserve(output, width - 1)))
        return;
    if (width > 1) {
        memmove(output->data + start + width - 1, output->data + start, length);
        output->length += width - 1;
    }
    memcpy(output->data + start - 1, size, width);
}

static inline void put_tag(Output *output, uint32_t number, int wire)
{
    put_varint(output, (uint64_t)number << 3 | (uint64_t)wire);
}

/* Numbers. They come out as they will stand on the wire. */

static bool is_value_end(const Reader *reader)
{
    if (reader->at == reader->end)
        return true;
    switch (*reader->at) {
    case ',': case '}': case ']': case ' ': case '\n': case '\r': case '\t': return true;
    default: return false;
    }
}

/* Read an integer in plain digits. */
static bool read_integer(const char *text, const char *end, bool *is_negative, uint64_t *size)
{
    *is_negative = text < end && *text == '-';
    text += *is_negative;
    size_t length = (size_t)(end - text);
    if (length == 0 || length > 20 || (text[0] == '0' && (length > 1 || *is_negative)))
        return false;
    *size = 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (*size > (UINT64_MAX - digit) / 10)
            return false;
        *size = *size * 10 + digit;
    }
    return true;
}

static bool fit_integer(uint8_t kind, bool is_negative, uint64_t size, uint64_t *bits)
{
    uint64_t signed_bits = is_negative ? 0 - size : size;
    uint64_t limit32 = is_negative ? 2147483648u : 2147483647u;
    uint64_t limit64 = is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    switch (kind) {
    case KIND_INT32: *bits = signed_bits; return size <= limit32;
    case KIND_SFIXED32: *bits = (uint32_t)signed_bits; return size <= limit32;
    case KIND_SINT32:
    case KIND_SINT64:
        *bits = signed_bits << 1 ^ (uint64_t)-(int64_t)is_negative;
        return size <= (kind == KIND_SINT32 ? limit32 : limit64);
    case KIND_INT64:
    case KIND_SFIXED64: *bits = signed_bits; return size <= limit64;
    case KIND_UINT32:
    case KIND_FIXED32: *bits = size; return !is_negative && size <= UINT32_MAX;
    case KIND_UINT64:
    case KIND_FIXED64: *bits = size; return !is_negative;
    default: return false;
    }
}

static bool read_integer_value(Reader *reader, uint8_t kind, uint64_t *bits)
{
    const char *text;
    size_t length;
    bool is_negative;
    uint64_t size;
    if (*reader->at == '"') {
        if (!take_plain_string(reader, &text, &length))
            return false;
    } else {
        text = reader->at;
        while (!is_value_end(reader))
            reader->at++;
        length = (size_t)(reader->at - text);
    }
    return read_integer(text, text + length, &is_negative, &size) && fit_integer(kind, is_negative, size, bits);
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Take a number as RFC 8259 spells it. */
static bool read_real(Reader *reader, double *value)
{
    const char *start = reader->at, *at = start, *end = reader->end;
    at += at < end && *at == '-';
    const char *whole = at;
    at = skip_digits(at, end);
    if (at == whole || (*whole == '0' && at - whole > 1))
        return false;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = skip_digits(at, end);
        if (at == fraction)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        const char *exponent = at;
        at = skip_digits(at, end);
        if (at == exponent)
            return false;
    }
    reader->at = at;
    if (!is_value_end(reader) || at - start > 400)
        return false;
    char *stop;
    /* The text is a bytes object's, so a zero follows it. */
    *value = PyOS_string_to_double(start, &stop, NULL);
    if (*value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return stop == at && isfinite(*value);
}

static bool read_real_value(Reader *reader, uint8_t kind, uint64_t *bits)
{
    double value;
    if (*reader->at == '"' || !read_real(reader, &value))
        return false;
    *bits = 0;
    if (kind == KIND_DOUBLE) {
        memcpy(bits, &value, sizeof(value));
        return true;
    }
    if (fabs(value) > 3.4028234663852886e38)
        return false;
    float narrow = (float)value;
    memcpy(bits, &narrow, sizeof(narrow));
    return narrow != 0 || value == 0;
}

static bool read_enum_value(Reader *reader, const Enumeration *enumeration, uint64_t *bits)
{
    const char *text;
    size_t length;
    if (enumeration == NULL)
        return false;
    if (*reader->at != '"')
        return enumeration->is_open && read_integer_value(reader, KIND_INT32, bits);
    if (!take_plain_string(reader, &text, &length))
        return false;
    const Name *name = find_name(&enumeration->names, text, length);
    if (name == NULL)
        return false;
    *bits = (uint64_t)(int64_t)name->value;
    return true;
}

static bool read_number(Reader *reader, uint8_t kind, const Enumeration *enumeration, uint64_t *bits)
{
    skip_space(reader);
    if (reader->at == reader->end)
        return false;
    switch (kind) {
    case KIND_DOUBLE:
    case KIND_FLOAT: return read_real_value(reader, kind, bits);
    case KIND_ENUM: return read_enum_value(reader, enumeration, bits);
    case KIND_BOOL:
        *bits = *reader->at == 't';
        return take_word(reader, *bits ? "true" : "false") && is_value_end(reader);
    default: return read_integer_value(reader, kind, bits);
    }
}

static void put_number(Output *output, uint8_t kind, uint64_t bits)
{
    switch (wire_type_of(kind)) {
    case WIRE_I64: put_bytes(output, (const char *)&bits, 8); break;
    case WIRE_I32: put_bytes(output, (const char *)&bits, 4); break;
    default: put_varint(output, bits);
    }
}

/* Values */

/* Write a string or bytes with the length in front; `*is_empty` tells whether nothing came. */
static bool read_text(Reader *reader, uint8_t kind, bool *is_empty)
{
    Output *output = reader->output;
    const char *text;
    size_t length;
    bool is_plain;
    if (!take_string(reader, &text, &length, &is_plain))
        return false;
    if (kind == KIND_STRING && is_plain) {
        put_varint(output, length);
        put_bytes(output, text, length);
        *is_empty = length == 0;
        return true;
    }
    if (kind == KIND_BYTES && !is_plain)
        return false;
    size_t start = open_length(output);
    if (!(kind == KIND_BYTES ? put_base64_decoded(output, text, length) : put_unescaped(output, text, length)))
        return false;
    *is_empty = output->length == start;
    close_length(output, start);
    return true;
}

/* Write a message with its length in front. */
static bool read_nested(Reader *reader, const Message *message)
{
    size_t start = open_length(reader->output);
    if (!read_message(reader, message))
        return false;
    close_length(reader->output, start);
    return true;
}

/* Write one field with its tag. What equals the default of a field without presence is taken back. */
static bool read_tagged(Reader *reader, uint32_t number, uint8_t kind, const Message *message,
                        const Enumeration *enumeration, bool keeps_default)
{
    Output *output = reader->output;
    size_t start = output->length;
    bool is_default = false;
    uint64_t bits;
    put_tag(output, number, wire_type_of(kind));
    if (kind == KIND_MESSAGE)
        return read_nested(reader, message);
    if (kind == KIND_STRING || kind == KIND_BYTES) {
        if (!read_text(reader, kind, &is_default))
            return false;
    } else {
        if (!read_number(reader, kind, enumeration, &bits))
            return false;
        is_default = bits == 0;
        put_number(output, kind, bits);
    }
    if (is_default && !keeps_default)
        output->length = start;
    return true;
}

static bool read_list(Reader *reader, const Field *field)
{
    Output *output = reader->output;
    size_t before = output->length, start = 0;
    if (!take(reader, '[') || !count_object(reader))
        return false;
    if (take(reader, ']'))
        return true;
    if (field->is_packed) {
        put_tag(output, field->number, WIRE_LEN);
        start = open_length(output);
    }
    do {
        uint64_t bits;
        if (!field->is_packed) {
            if (!read_tagged(reader, field->number, field->kind, field->message, field->enumeration, true))
                return false;
            continue;
        }
        if (!read_number(reader, field->kind, field->enumeration, &bits))
            return false;
        put_number(output, field->kind, bits);
    } while (take(reader, ','));
    if (field->is_packed)
        close_length(output, start);
    return take(reader, ']') && output->length >= before;
}

static bool read_map_key(Reader *reader, uint8_t kind)
{
    bool is_empty;
    uint64_t bits;
    if (kind == KIND_BOOL)
        return false;
    put_tag(reader->output, 1, wire_type_of(kind));
    if (kind == KIND_STRING)
        return read_text(reader, kind, &is_empty);
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != '"' || !read_integer_value(reader, kind, &bits))
        return false;
    put_number(reader->output, kind, bits);
    return true;
}

/* Take `{"key": value, ...}`; the slices of keys are places in the output, which later keys never move. */
static bool read_entries(Reader *reader, const Field *field, SliceSet *keys)
{
    Output *output = reader->output;
    do {
        put_tag(output, field->number, WIRE_LEN);
        size_t start = open_length(output);
        if (!read_map_key(reader, field->key_kind) || output->failed)
            return false;
        size_t key_length = output->length - start;
        if (!take(reader, ':') ||
            !read_tagged(reader, 2, field->kind, field->message, field->enumeration, true))
            return false;
        close_length(output, start);
        if (output->failed)
            return false;
        /* The entry's length may have taken more than the one byte that was left for it. */
        size_t moved = start;
        while ((uint8_t)output->data[moved - 1] >= 0x80)
            moved++;
        if (!slices_add(keys, output->data, moved, key_length))
            return false;
    } while (take(reader, ','));
    return take(reader, '}');
}

static bool read_map(Reader *reader, const Field *field)
{
    SliceSet keys;
    if (!take(reader, '{') || !count_object(reader))
        return false;
    if (take(reader, '}'))
        return true;
    slices_open(&keys);
    /* An entry is a message, too. */
    reader->depth++;
    bool is_good = read_entries(reader, field, &keys);
    reader->depth--;
    slices_close(&keys);
    return is_good;
}

static bool put_pair(Reader *reader, int64_t first, int32_t second)
{
    if (first != 0) {
        put_tag(reader->output, 1, WIRE_VARINT);
        put_varint(reader->output, (uint64_t)first);
    }
    if (second != 0) {
        put_tag(reader->output, 2, WIRE_VARINT);
        put_varint(reader->output, (uint64_t)(int64_t)second);
    }
    return true;
}

static bool read_special(Reader *reader, const Message *message)
{
    const char *text;
    size_t length;
    int64_t seconds;
    int32_t nanos;
    if (message->form == FORM_WRAPPER)
        return read_tagged(reader, 1, message->wrapped_kind, NULL, NULL, false);
    if (!take_plain_string(reader, &text, &length))
        return false;
    if (message->form == FORM_TIMESTAMP)
        return read_timestamp(text, length, &seconds, &nanos) && put_pair(reader, seconds, nanos);
    return message->form == FORM_DURATION && read_duration(text, length, &seconds, &nanos) &&
           put_pair(reader, seconds, nanos);
}

/* Objects */

static bool read_field(Reader *reader, const Field *field)
{
    switch (field->label) {
    case LABEL_REPEATED: return read_list(reader, field);
    case LABEL_MAP: return read_map(reader, field);
    default:
        return read_tagged(reader, field->number, field->kind, field->message, field->enumeration, field->has_presence);
    }
}

/* Find the field that a member names: most often the one after the last. */
static int find_member(const Message *message, const char *name, size_t length, uint32_t expected)
{
    if (expected < message->field_count) {
        const Field *field = &message->fields[expected];
        if (field->key_length == length + 3 && memcmp(field->key + 1, name, length) == 0)
            return (int)expected;
    }
    const Name *found = find_name(&message->names, name, length);
    return found != NULL ? found->value : -1;
}

static bool read_members(Reader *reader, const Message *message)
{
    uint64_t seen[MAX_FIELDS / 64];
    uint32_t oneofs = 0, expected = 0;
    memset(seen, 0, ((size_t)message->field_count + 63) / 64 * sizeof(uint64_t));
    do {
        const char *name;
        size_t length;
        if (!take_plain_string(reader, &name, &length) || !take(reader, ':'))
            return false;
        int index = find_member(message, name, length, expected);
        if (index < 0 || (seen[index / 64] >> (index % 64) & 1) != 0)
            return false;
        seen[index / 64] |= (uint64_t)1 << (index % 64);
        expected = (uint32_t)index + 1;
        skip_space(reader);
        if (reader->at < reader->end && *reader->at == 'n') {
            /* A null is the absence of a value, but not for the types whose value it is. */
            const Field *field = &message->fields[index];
            if ((field->message != NULL && field->message->form == FORM_FOREIGN) || !take_word(reader, "null") ||
                !is_value_end(reader))
                return false;
            continue;
        }
        const Field *field = &message->fields[index];
        if (field->oneof >= 0) {
            if ((oneofs >> field->oneof & 1) != 0)
                return false;
            oneofs |= (uint32_t)1 << field->oneof;
        }
        if (!read_field(reader, field))
            return false;
    } while (take(reader, ','));
    return take(reader, '}');
}

static bool read_message(Reader *reader, const Message *message)
{
    if (message->form == FORM_FOREIGN || reader->depth >= MAX_DEPTH || !count_object(reader))
        return false;
    skip_space(reader);
    if (reader->at == reader->end)
        return false;
    if (message->form != FORM_OBJECT)
        return read_special(reader, message);
    reader->depth++;
    bool is_good = take(reader, '{') && (take(reader, '}') || read_members(reader, message));
    reader->depth--;
    return is_good && !reader->output->failed;
}

bool message_from_json(const Message *message, const char *text, size_t size, Output *output)
{
    Reader reader = {.at = text, .end = text + size, .output = output};
    if (!read_message(&reader, message))
        return false;
    skip_space(&reader);
    return reader.at == reader.end && !output->failed;
}
