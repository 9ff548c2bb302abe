/* The module `_native`: one type, `Codec`, for one message type and all it contains. */

#include "codec.h"
#include "decimal.h"

typedef struct {
    PyObject_HEAD
    PyObject *messages; /* keep the texts of the plan alive */
    PyObject *enumerations;
    Plan plan;
} Codec;

static PyObject *codec_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *messages, *enumerations;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "Codec takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "O!O!", &PyTuple_Type, &messages, &PyTuple_Type, &enumerations))
        return NULL;
    if (PyTuple_GET_SIZE(messages) == 0) {
        PyErr_SetString(PyExc_ValueError, "a plan has at least one message");
        return NULL;
    }
    Codec *codec = (Codec *)type->tp_alloc(type, 0);
    if (codec == NULL)
        return NULL;
    codec->messages = Py_NewRef(messages);
    codec->enumerations = Py_NewRef(enumerations);
    if (!plan_build(&codec->plan, messages, enumerations)) {
        Py_DECREF(codec);
        return NULL;
    }
    return (PyObject *)codec;
}

static void codec_dealloc(Codec *codec)
{
    plan_free(&codec->plan);
    Py_XDECREF(codec->messages);
    Py_XDECREF(codec->enumerations);
    Py_TYPE(codec)->tp_free((PyObject *)codec);
}

/* Make the answer of one direction: the output as bytes, or None. */
static PyObject *finish(Output *output, bool is_good)
{
    PyObject *result = is_good && !output->failed ? PyBytes_FromStringAndSize(output->data, (Py_ssize_t)output->length)
                                                  : Py_NewRef(Py_None);
    output_close(output);
    return result;
}

static PyObject *codec_to_json(Codec *codec, PyObject *data)
{
    Output output;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "to_json takes bytes");
        return NULL;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(data);
    if (size > SIZE_MAX / 4 || !output_open(&output, size * 3 + 64))
        Py_RETURN_NONE;
    return finish(&output, message_to_json(codec->plan.messages, (const uint8_t *)PyBytes_AS_STRING(data), size, &output));
}

static PyObject *codec_from_json(Codec *codec, PyObject *text)
{
    Output output;
    if (!PyBytes_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "from_json takes bytes");
        return NULL;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(text);
    if (!output_open(&output, size + 64))
        Py_RETURN_NONE;
    return finish(&output, message_from_json(codec->plan.messages, PyBytes_AS_STRING(text), size, &output));
}

static PyMethodDef codec_methods[] = {
    {"to_json", (PyCFunction)codec_to_json, METH_O,
     "Return the JSON of a serialized message, None when the plain codec must decide."},
    {"from_json", (PyCFunction)codec_from_json, METH_O,
     "Return the serialized message that a JSON text describes, None when the plain codec must decide."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject codec_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "api_gateway.transcoding._native.Codec",
    .tp_doc = "Codec(messages, enumerations): JSON to and from the first message of a plan (see native_codec.py).",
    .tp_basicsize = sizeof(Codec),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = codec_new,
    .tp_dealloc = (destructor)codec_dealloc,
    .tp_methods = codec_methods,
};

static PyModuleDef native_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "ProtoJSON to and from serialized messages, for what is common; see native_codec.py.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
        PyErr_SetString(PyExc_ImportError, "the native codec copies numbers as protobuf has them: little end first");
        return NULL;
    }
    decimal_open();
    if (PyType_Ready(&codec_type) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&native_module);
    if (module == NULL)
        return NULL;
    if (PyModule_AddObjectRef(module, "Codec", (PyObject *)&codec_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
