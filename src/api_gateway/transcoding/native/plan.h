/* What the codec knows about message types: built once from tuples of Python, read-only from then on. */
#ifndef API_GATEWAY_PLAN_H
#define API_GATEWAY_PLAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

/* Kinds of values. The numbers are those of FieldDescriptorProto.Type. */
enum {
    KIND_DOUBLE = 1,
    KIND_FLOAT = 2,
    KIND_INT64 = 3,
    KIND_UINT64 = 4,
    KIND_INT32 = 5,
    KIND_FIXED64 = 6,
    KIND_FIXED32 = 7,
    KIND_BOOL = 8,
    KIND_STRING = 9,
    KIND_MESSAGE = 11,
    KIND_BYTES = 12,
    KIND_UINT32 = 13,
    KIND_ENUM = 14,
    KIND_SFIXED32 = 15,
    KIND_SFIXED64 = 16,
    KIND_SINT32 = 17,
    KIND_SINT64 = 18,
    KIND_COUNT = 19,
};

enum { LABEL_SINGULAR, LABEL_REPEATED, LABEL_MAP };

/* How a message looks in JSON. What is FOREIGN is left to the plain codec whenever it occurs. */
enum { FORM_OBJECT, FORM_TIMESTAMP, FORM_DURATION, FORM_WRAPPER, FORM_FOREIGN };

enum { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

enum {
    MAX_DEPTH = 64,    /* messages inside each other; the plain codec decides about deeper ones */
    MAX_ONEOFS = 32,   /* in one message type */
    MAX_FIELDS = 1024, /* in one message type */
};

/* Names to numbers: open addressing, at most half full. */
typedef struct {
    const char *name;
    uint32_t length;
    int32_t value;
} Name;

typedef struct {
    Name *slots;
    uint32_t mask;
} NameTable;

typedef struct {
    NameTable names;
    Name *by_number; /* sorted by value, one name a number */
    uint32_t count;
    bool is_open; /* numbers without a name are values like others */
} Enumeration;

typedef struct {
    uint32_t number, index;
} Number;

typedef struct Message Message;

typedef struct {
    uint32_t number;
    uint8_t kind; /* of the value: of each item, of each value of a map */
    uint8_t label;
    uint8_t key_kind; /* of a map */
    bool has_presence;
    bool is_packed;
    int16_t oneof; /* -1: none */
    const char *key; /* `"name":` */
    uint32_t key_length;
    const Message *message;
    const Enumeration *enumeration;
} Field;

struct Message {
    uint8_t form;
    uint8_t wrapped_kind; /* of a wrapper */
    bool is_closed;       /* unknown fields are the plain codec's: they may be extensions */
    uint32_t field_count;
    Field *fields; /* in the order of their declaration, which is the order of JSON members */
    NameTable names;
    uint16_t *by_number; /* field index + 1 for numbers below `number_limit`, 0: none */
    uint32_t number_limit;
    Number *others; /* the fields with higher numbers, sorted */
    uint32_t other_count;
};

typedef struct {
    Message *messages;
    uint32_t message_count;
    Enumeration *enumerations;
    uint32_t enumeration_count;
} Plan;

/* Build a plan. Its texts are those of `messages` and `enumerations`, which must outlive it. Returns false with a Python
   exception set. `plan_free` is due either way. */
bool plan_build(Plan *plan, PyObject *messages, PyObject *enumerations);
void plan_free(Plan *plan);

/* Return what a name stands for, NULL when there is no such name. */
const Name *find_name(const NameTable *table, const char *name, size_t length);

/* Return the first name of an enum number, NULL when there is none. */
const Name *find_enum_number(const Enumeration *enumeration, int32_t number);

/* Return the index of a field whose number is not below `number_limit`, -1 when there is none. */
int find_other_field(const Message *message, uint32_t number);

static inline int find_field(const Message *message, uint32_t number)
{
    return number < message->number_limit ? (int)message->by_number[number] - 1 : find_other_field(message, number);
}

static inline int wire_type_of(uint8_t kind)
{
    switch (kind) {
    case KIND_DOUBLE:
    case KIND_FIXED64:
    case KIND_SFIXED64:
        return WIRE_I64;
    case KIND_FLOAT:
    case KIND_FIXED32:
    case KIND_SFIXED32:
        return WIRE_I32;
    case KIND_STRING:
    case KIND_BYTES:
    case KIND_MESSAGE:
        return WIRE_LEN;
    default:
        return WIRE_VARINT;
    }
}

#endif
