/* Serialized messages to ProtoJSON, without objects in between.

   A message is read twice: first its fields are noted in a list, then they are written in the order of their
   declaration. What a decoder would merge, drop or refuse makes the plain codec decide. */

#include "codec.h"
#include "decimal.h"
#include "text.h"

/* Records noted at one time: 24 MiB of them, and as much to sort them. A message of 16 MiB could hold eight times as many
   fields; the plain codec needs less memory for those. */
enum { MAX_RECORDS = 1 << 20 };

typedef struct {
    const uint8_t *start; /* of the payload; for numbers of where they stood */
    uint64_t value;       /* the number, or the payload's length */
    uint32_t field;
    uint32_t wire;
} Record;

typedef struct {
    Output *output;
    Record *records;
    size_t count, capacity;
    int depth;
} Writer;

static bool write_message(Writer *writer, const Message *message, const uint8_t *data, const uint8_t *end);

static bool note(Writer *writer, Record record)
{
    if (writer->count == MAX_RECORDS)
        return false;
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity * 2;
        Record *records = realloc(writer->records, capacity * sizeof(Record));
        if (records == NULL)
            return false;
        writer->records = records;
        writer->capacity = capacity;
    }
    writer->records[writer->count++] = record;
    return true;
}

/* Read what follows a tag; return what follows that, NULL when it is cut short or of a kind that is not read here. */
static const uint8_t *read_payload(const uint8_t *data, const uint8_t *end, Record *record)
{
    uint32_t small;
    record->start = data;
    switch (record->wire) {
    case WIRE_VARINT:
        return read_varint(data, end, &record->value);
    case WIRE_I64:
        if (end - data < 8)
            return NULL;
        memcpy(&record->value, data, 8);
        return data + 8;
    case WIRE_I32:
        if (end - data < 4)
            return NULL;
        memcpy(&small, data, 4);
        record->value = small;
        return data + 4;
    case WIRE_LEN:
        data = read_varint(data, end, &record->value);
        if (data == NULL || record->value > (uint64_t)(end - data))
            return NULL;
        record->start = data;
        return data + record->value;
    default:
        return NULL;
    }
}

/* Read a tag and its payload; the field's number comes back in `record->field`. */
static const uint8_t *read_field(const uint8_t *data, const uint8_t *end, Record *record)
{
    const uint8_t *start = data;
    uint64_t tag;
    data = read_varint(data, end, &tag);
    /* Decoders take tags of up to five bytes, whatever these come to. */
    if (data == NULL || data - start > 5 || tag > UINT32_MAX || tag < 8)
        return NULL;
    record->field = (uint32_t)(tag >> 3);
    record->wire = tag & 7;
    return read_payload(data, end, record);
}

/* Numbers */

static double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float as_float(uint64_t bits)
{
    uint32_t narrow = (uint32_t)bits;
    float value;
    memcpy(&value, &narrow, sizeof(value));
    return value;
}

static int64_t from_zigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static bool write_enum(Output *output, const Enumeration *enumeration, int32_t number)
{
    const Name *name = find_enum_number(enumeration, number);
    if (name == NULL) {
        if (enumeration->is_open)
            put_signed(output, number);
        return enumeration->is_open;
    }
    put_char(output, '"');
    put_bytes(output, name->name, name->length);
    put_char(output, '"');
    return true;
}

static void write_quoted(Output *output, bool is_signed, uint64_t value)
{
    put_char(output, '"');
    if (is_signed)
        put_signed(output, (int64_t)value);
    else
        put_unsigned(output, value);
    put_char(output, '"');
}

/* Write a number of any kind as it came over the wire. */
static bool write_number(Output *output, uint8_t kind, const Enumeration *enumeration, uint64_t value)
{
    switch (kind) {
    case KIND_DOUBLE: put_double(output, as_double(value)); return true;
    case KIND_FLOAT: put_float(output, as_float(value)); return true;
    case KIND_INT32:
    case KIND_SFIXED32: put_signed(output, (int32_t)value); return true;
    case KIND_UINT32:
    case KIND_FIXED32: put_unsigned(output, (uint32_t)value); return true;
    case KIND_SINT32: put_signed(output, (int32_t)from_zigzag((uint32_t)value)); return true;
    case KIND_INT64:
    case KIND_SFIXED64: write_quoted(output, true, value); return true;
    case KIND_SINT64: write_quoted(output, true, (uint64_t)from_zigzag(value)); return true;
    case KIND_UINT64:
    case KIND_FIXED64: write_quoted(output, false, value); return true;
    case KIND_BOOL:
        if (value != 0)
            PUT_LITERAL(output, "true");
        else
            PUT_LITERAL(output, "false");
        return true;
    case KIND_ENUM: return write_enum(output, enumeration, (int32_t)value);
    default: return false;
    }
}

static bool is_default(uint8_t kind, const Record *record)
{
    switch (kind) {
    case KIND_INT32:
    case KIND_UINT32:
    case KIND_SINT32:
    case KIND_ENUM: return (uint32_t)record->value == 0;
    default: return record->value == 0; /* lengths too */
    }
}

/* Values */

static bool write_payload(Writer *writer, uint8_t kind, const Message *message, const Enumeration *enumeration,
                          const Record *record)
{
    switch (kind) {
    case KIND_STRING: return put_json_string(writer->output, (const char *)record->start, record->value);
    case KIND_BYTES:
        put_char(writer->output, '"');
        put_base64(writer->output, record->start, record->value);
        put_char(writer->output, '"');
        return true;
    case KIND_MESSAGE: return write_message(writer, message, record->start, record->start + record->value);
    default: return write_number(writer->output, kind, enumeration, record->value);
    }
}

static bool write_value(Writer *writer, const Field *field, const Record *record)
{
    return write_payload(writer, field->kind, field->message, field->enumeration, record);
}

/* Read the fields 1 and 2, each at most once, of a message that is known to have no others that count. */
static bool read_pair(const uint8_t *data, const uint8_t *end, int first_wire, int second_wire, Record pair[2])
{
    uint32_t seen = 0;
    while (data < end) {
        Record record;
        data = read_field(data, end, &record);
        if (data == NULL)
            return false;
        if (record.field == 1 || record.field == 2) {
            if ((int)record.wire != (record.field == 1 ? first_wire : second_wire) || (seen & record.field) != 0)
                return false;
            seen |= record.field;
            pair[record.field - 1] = record;
        }
    }
    return true;
}

static bool write_special(Writer *writer, const Message *message, const uint8_t *data, const uint8_t *end)
{
    Record pair[2] = {{.start = end, .wire = UINT32_MAX}, {.start = end}};
    if (message->form == FORM_WRAPPER) {
        int wire = wire_type_of(message->wrapped_kind);
        return read_pair(data, end, wire, -1, pair) &&
               write_payload(writer, message->wrapped_kind, NULL, NULL, &pair[0]);
    }
    if (!read_pair(data, end, WIRE_VARINT, WIRE_VARINT, pair))
        return false;
    int64_t seconds = (int64_t)pair[0].value;
    int32_t nanos = (int32_t)pair[1].value;
    if (message->form == FORM_TIMESTAMP)
        return put_timestamp(writer->output, seconds, nanos);
    return message->form == FORM_DURATION && put_duration(writer->output, seconds, nanos);
}

/* Fields */

static bool write_packed(Writer *writer, const Field *field, const Record *packed, size_t *item_count)
{
    const uint8_t *data = packed->start, *end = data + packed->value;
    Record item = {.wire = (uint32_t)wire_type_of(field->kind)};
    while (data < end) {
        data = read_payload(data, end, &item);
        if (data == NULL)
            return false;
        if ((*item_count)++ > 0)
            put_char(writer->output, ',');
        if (!write_number(writer->output, field->kind, field->enumeration, item.value))
            return false;
    }
    return true;
}

static bool write_list(Writer *writer, const Field *field, size_t first, size_t last, size_t *item_count)
{
    put_char(writer->output, '[');
    for (size_t index = first; index < last; index++) {
        Record record = writer->records[index];
        if (record.wire == WIRE_LEN && wire_type_of(field->kind) != WIRE_LEN) {
            if (!write_packed(writer, field, &record, item_count))
                return false;
            continue;
        }
        if ((*item_count)++ > 0)
            put_char(writer->output, ',');
        if (!write_value(writer, field, &record))
            return false;
    }
    put_char(writer->output, ']');
    return true;
}

static bool write_map_key(Output *output, uint8_t kind, const Record *key)
{
    if (kind == KIND_STRING)
        return put_json_string(output, (const char *)key->start, key->value);
    size_t start = output->length;
    put_char(output, '"');
    if (!write_number(output, kind, NULL, key->value))
        return false;
    put_char(output, '"');
    /* 64-bit integers bring quotes of their own. */
    if (!output->failed && output->length - start > 2 && output->data[start + 1] == '"') {
        memmove(output->data + start, output->data + start + 1, output->length - start - 2);
        output->length -= 2;
    }
    return true;
}

static bool write_map(Writer *writer, const Field *field, size_t first, size_t last)
{
    Output *output = writer->output;
    SliceSet keys;
    bool is_good = true;
    slices_open(&keys);
    put_char(output, '{');
    for (size_t index = first; index < last && is_good; index++) {
        const Record entry = writer->records[index];
        const uint8_t *end = entry.start + entry.value;
        Record pair[2] = {{.start = end}, {.start = end}};
        if (index > first)
            put_char(output, ',');
        size_t start = output->length;
        is_good = read_pair(entry.start, end, wire_type_of(field->key_kind), wire_type_of(field->kind), pair) &&
                  write_map_key(output, field->key_kind, &pair[0]) && !output->failed &&
                  slices_add(&keys, output->data, start, output->length - start);
        put_char(output, ':');
        is_good = is_good && write_value(writer, field, &pair[1]);
    }
    put_char(output, '}');
    slices_close(&keys);
    return is_good;
}

/* Write the occurrences of one field, from `first` up to `last`; `*is_first` tells whether a comma is due. */
static bool write_field(Writer *writer, const Field *field, size_t first, size_t last, bool *is_first)
{
    Output *output = writer->output;
    const Record only = writer->records[first];
    if (field->label == LABEL_SINGULAR) {
        if (last - first > 1)
            return false; /* messages would have to be merged, and what is replaced is checked all the same */
        if (!field->has_presence && is_default(field->kind, &only))
            return true;
    }
    size_t start = output->length, item_count = 0;
    if (!*is_first)
        put_char(output, ',');
    put_bytes(output, field->key, field->key_length);
    if (field->label == LABEL_SINGULAR) {
        if (!write_value(writer, field, &only))
            return false;
    } else if (field->label == LABEL_MAP) {
        if (!write_map(writer, field, first, last))
            return false;
    } else {
        if (!write_list(writer, field, first, last, &item_count))
            return false;
        if (item_count == 0) { /* nothing but empty packs */
            output->length = start;
            return true;
        }
    }
    *is_first = false;
    return true;
}

static int compare_records(const void *left, const void *right)
{
    const Record *a = left, *b = right;
    if (a->field != b->field)
        return a->field < b->field ? -1 : 1;
    return (a->start > b->start) - (a->start < b->start);
}

/* Note all fields of a message, ordered as they will be written. */
static bool note_fields(Writer *writer, const Message *message, const uint8_t *data, const uint8_t *end)
{
    size_t base = writer->count;
    int chosen[MAX_ONEOFS];
    memset(chosen, -1, sizeof(chosen));
    bool is_sorted = true;
    while (data < end) {
        Record record;
        data = read_field(data, end, &record);
        if (data == NULL)
            return false;
        int index = find_field(message, record.field);
        if (index < 0) {
            if (message->is_closed)
                return false;
            continue;
        }
        const Field *field = &message->fields[index];
        bool is_packed = field->label == LABEL_REPEATED && record.wire == WIRE_LEN;
        if ((int)record.wire != (field->label == LABEL_MAP ? WIRE_LEN : wire_type_of(field->kind)) && !is_packed)
            return false;
        if (field->oneof >= 0) {
            if (chosen[field->oneof] >= 0 && chosen[field->oneof] != index)
                return false;
            chosen[field->oneof] = index;
        }
        record.field = (uint32_t)index;
        is_sorted = is_sorted && (writer->count == base || writer->records[writer->count - 1].field <= record.field);
        if (!note(writer, record))
            return false;
    }
    if (!is_sorted)
        qsort(writer->records + base, writer->count - base, sizeof(Record), compare_records);
    return true;
}

static bool write_object(Writer *writer, const Message *message, const uint8_t *data, const uint8_t *end)
{
    size_t base = writer->count;
    bool is_first = true, is_good = note_fields(writer, message, data, end);
    size_t top = writer->count;
    put_char(writer->output, '{');
    for (size_t first = base, last; first < top && is_good; first = last) {
        uint32_t index = writer->records[first].field;
        for (last = first + 1; last < top && writer->records[last].field == index;)
            last++;
        is_good = write_field(writer, &message->fields[index], first, last, &is_first);
    }
    put_char(writer->output, '}');
    writer->count = base;
    return is_good;
}

static bool write_message(Writer *writer, const Message *message, const uint8_t *data, const uint8_t *end)
{
    if (message->form == FORM_FOREIGN || writer->depth >= MAX_DEPTH)
        return false;
    writer->depth++;
    bool is_good = message->form == FORM_OBJECT ? write_object(writer, message, data, end)
                                                : write_special(writer, message, data, end);
    writer->depth--;
    return is_good && !writer->output->failed;
}

bool message_to_json(const Message *message, const uint8_t *data, size_t size, Output *output)
{
    Writer writer = {.output = output, .capacity = 256};
    writer.records = malloc(writer.capacity * sizeof(Record));
    bool is_good = writer.records != NULL && write_message(&writer, message, data, data + size);
    free(writer.records);
    return is_good;
}
