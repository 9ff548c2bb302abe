#include "plan.h"

#include <stdlib.h>
#include <string.h>

enum { DENSE_NUMBERS = 1024, MAX_PROBES = 256 };

static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t index = 0; index < length; index++)
        hash = (hash ^ (uint8_t)text[index]) * 16777619u;
    return hash;
}

static bool table_open(NameTable *table, Py_ssize_t count)
{
    uint32_t size = 4;
    while (size < (uint32_t)count * 2)
        size *= 2;
    table->slots = PyMem_Calloc(size, sizeof(Name));
    table->mask = size - 1;
    if (table->slots == NULL)
        PyErr_NoMemory();
    return table->slots != NULL;
}

/* The first value of a name stays. A schema whose names were chosen to meet in one slot is refused: with `MAX_PROBES` it
   cannot make this, or a look-up, slow. */
static bool table_add(NameTable *table, const char *name, size_t length, int32_t value)
{
    uint32_t slot = hash_of(name, length) & table->mask;
    for (int probes = 0; table->slots[slot].name != NULL; probes++) {
        if (table->slots[slot].length == length && memcmp(table->slots[slot].name, name, length) == 0)
            return true;
        if (probes == MAX_PROBES) {
            PyErr_SetString(PyExc_ValueError, "the names of the plan collide");
            return false;
        }
        slot = (slot + 1) & table->mask;
    }
    table->slots[slot] = (Name){.name = name, .length = (uint32_t)length, .value = value};
    return true;
}

const Name *find_name(const NameTable *table, const char *name, size_t length)
{
    uint32_t slot = hash_of(name, length) & table->mask;
    while (table->slots[slot].name != NULL) {
        if (table->slots[slot].length == length && memcmp(table->slots[slot].name, name, length) == 0)
            return &table->slots[slot];
        slot = (slot + 1) & table->mask;
    }
    return NULL;
}

static int compare_values(const void *left, const void *right)
{
    int32_t a = ((const Name *)left)->value, b = ((const Name *)right)->value;
    return (a > b) - (a < b);
}

const Name *find_enum_number(const Enumeration *enumeration, int32_t number)
{
    const Name wanted = {.value = number};
    if (number >= 0 && (uint32_t)number < enumeration->count && enumeration->by_number[number].value == number)
        return &enumeration->by_number[number];
    return bsearch(&wanted, enumeration->by_number, enumeration->count, sizeof(Name), compare_values);
}

static int compare_numbers(const void *left, const void *right)
{
    uint32_t a = ((const Number *)left)->number, b = ((const Number *)right)->number;
    return (a > b) - (a < b);
}

int find_other_field(const Message *message, uint32_t number)
{
    const Number wanted = {.number = number};
    const Number *found = message->other_count == 0 ? NULL
                                                    : bsearch(&wanted, message->others, message->other_count,
                                                              sizeof(Number), compare_numbers);
    return found != NULL ? (int)found->index : -1;
}

/* (names, numbers, is_open): all names with their numbers, and the one name to print for each number. */
static bool build_enumeration(Enumeration *enumeration, PyObject *source)
{
    PyObject *names, *printed;
    int is_open;
    if (!PyArg_ParseTuple(source, "O!O!p", &PyTuple_Type, &names, &PyTuple_Type, &printed, &is_open))
        return false;
    enumeration->is_open = is_open;
    if (!table_open(&enumeration->names, PyTuple_GET_SIZE(names)))
        return false;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(names); index++) {
        const char *name;
        Py_ssize_t length;
        int number;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(names, index), "y#i", &name, &length, &number) ||
            !table_add(&enumeration->names, name, (size_t)length, number))
            return false;
    }
    enumeration->by_number = PyMem_Calloc((size_t)PyTuple_GET_SIZE(printed) + 1, sizeof(Name));
    if (enumeration->by_number == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(printed); index++) {
        Name *name = &enumeration->by_number[index];
        Py_ssize_t length;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(printed, index), "y#i", &name->name, &length, &name->value))
            return false;
        name->length = (uint32_t)length;
    }
    enumeration->count = (uint32_t)PyTuple_GET_SIZE(printed);
    qsort(enumeration->by_number, enumeration->count, sizeof(Name), compare_values);
    return true;
}

/* (number, kind, label, key_kind, has_presence, is_packed, oneof, key, message, enumeration) */
static bool build_field(const Plan *plan, Field *field, PyObject *source)
{
    unsigned int number;
    int kind, label, key_kind, has_presence, is_packed, oneof, message, enumeration;
    Py_ssize_t key_length;
    if (!PyArg_ParseTuple(source, "Iiiippiy#ii", &number, &kind, &label, &key_kind, &has_presence, &is_packed, &oneof,
                          &field->key, &key_length, &message, &enumeration))
        return false;
    if (number == 0 || kind <= 0 || kind >= KIND_COUNT || key_kind < 0 || key_kind >= KIND_COUNT ||
        label < LABEL_SINGULAR || label > LABEL_MAP || oneof >= MAX_ONEOFS || key_length < 3 ||
        (kind == KIND_MESSAGE && (message < 0 || (uint32_t)message >= plan->message_count)) ||
        (kind == KIND_ENUM && (enumeration < 0 || (uint32_t)enumeration >= plan->enumeration_count))) {
        PyErr_SetString(PyExc_ValueError, "a field of the plan is out of range");
        return false;
    }
    field->number = number;
    field->kind = (uint8_t)kind;
    field->label = (uint8_t)label;
    field->key_kind = (uint8_t)key_kind;
    field->has_presence = has_presence;
    field->is_packed = is_packed;
    field->oneof = (int16_t)oneof;
    field->key_length = (uint32_t)key_length;
    field->message = kind == KIND_MESSAGE ? &plan->messages[message] : NULL;
    field->enumeration = kind == KIND_ENUM ? &plan->enumerations[enumeration] : NULL;
    return true;
}

static bool index_numbers(Message *message)
{
    for (uint32_t index = 0; index < message->field_count; index++) {
        uint32_t number = message->fields[index].number;
        if (number < DENSE_NUMBERS && number >= message->number_limit)
            message->number_limit = number + 1;
    }
    message->by_number = PyMem_Calloc(message->number_limit + 1, sizeof(uint16_t));
    message->others = PyMem_Calloc(message->field_count + 1, sizeof(Number));
    if (message->by_number == NULL || message->others == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (uint32_t index = 0; index < message->field_count; index++) {
        uint32_t number = message->fields[index].number;
        if (number < message->number_limit)
            message->by_number[number] = (uint16_t)(index + 1);
        else
            message->others[message->other_count++] = (Number){.number = number, .index = index};
    }
    qsort(message->others, message->other_count, sizeof(Number), compare_numbers);
    return true;
}

/* (form, wrapped_kind, is_closed, fields, names) */
static bool build_message(const Plan *plan, Message *message, PyObject *source)
{
    PyObject *fields, *names;
    int form, wrapped_kind, is_closed;
    if (!PyArg_ParseTuple(source, "iipO!O!", &form, &wrapped_kind, &is_closed, &PyTuple_Type, &fields, &PyTuple_Type,
                          &names))
        return false;
    if (PyTuple_GET_SIZE(fields) > MAX_FIELDS || form < FORM_OBJECT || form > FORM_FOREIGN || wrapped_kind < 0 ||
        wrapped_kind >= KIND_COUNT) {
        PyErr_SetString(PyExc_ValueError, "a message of the plan is out of range");
        return false;
    }
    message->form = (uint8_t)form;
    message->wrapped_kind = (uint8_t)wrapped_kind;
    message->is_closed = is_closed;
    message->fields = PyMem_Calloc((size_t)PyTuple_GET_SIZE(fields) + 1, sizeof(Field));
    if (message->fields == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(fields); index++)
        if (!build_field(plan, &message->fields[index], PyTuple_GET_ITEM(fields, index)))
            return false;
    message->field_count = (uint32_t)PyTuple_GET_SIZE(fields);
    if (!table_open(&message->names, PyTuple_GET_SIZE(names)))
        return false;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(names); index++) {
        const char *name;
        Py_ssize_t length;
        unsigned int field;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(names, index), "y#I", &name, &length, &field))
            return false;
        if (field >= message->field_count) {
            PyErr_SetString(PyExc_ValueError, "a name of the plan is out of range");
            return false;
        }
        if (!table_add(&message->names, name, (size_t)length, (int32_t)field))
            return false;
    }
    return index_numbers(message);
}

bool plan_build(Plan *plan, PyObject *messages, PyObject *enumerations)
{
    memset(plan, 0, sizeof(*plan));
    plan->messages = PyMem_Calloc((size_t)PyTuple_GET_SIZE(messages) + 1, sizeof(Message));
    plan->enumerations = PyMem_Calloc((size_t)PyTuple_GET_SIZE(enumerations) + 1, sizeof(Enumeration));
    if (plan->messages == NULL || plan->enumerations == NULL) {
        PyErr_NoMemory();
        return false;
    }
    plan->message_count = (uint32_t)PyTuple_GET_SIZE(messages);
    plan->enumeration_count = (uint32_t)PyTuple_GET_SIZE(enumerations);
    for (uint32_t index = 0; index < plan->enumeration_count; index++)
        if (!build_enumeration(&plan->enumerations[index], PyTuple_GET_ITEM(enumerations, index)))
            return false;
    for (uint32_t index = 0; index < plan->message_count; index++)
        if (!build_message(plan, &plan->messages[index], PyTuple_GET_ITEM(messages, index)))
            return false;
    return true;
}

void plan_free(Plan *plan)
{
    for (uint32_t index = 0; plan->messages != NULL && index < plan->message_count; index++) {
        PyMem_Free(plan->messages[index].fields);
        PyMem_Free(plan->messages[index].names.slots);
        PyMem_Free(plan->messages[index].by_number);
        PyMem_Free(plan->messages[index].others);
    }
    for (uint32_t index = 0; plan->enumerations != NULL && index < plan->enumeration_count; index++) {
        PyMem_Free(plan->enumerations[index].names.slots);
        PyMem_Free(plan->enumerations[index].by_number);
    }
    PyMem_Free(plan->messages);
    PyMem_Free(plan->enumerations);
    memset(plan, 0, sizeof(*plan));
}
