/* What a shared library exports to be judged: `plummet gate check --lib ./libmine.so`.
 *
 * Tensors are row-major. Inputs are read-only, outputs are full of NaN before the call, and every
 * buffer ends (on every other call: begins) where a page does that must not be touched: only items
 * are aligned. A library that reads or writes elsewhere is killed, and the tensor is named. */
#ifndef PLUMMET_H
#define PLUMMET_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;   /* "x", "weight", "dy", ... */
    const char *dtype;  /* "f64", "f32", "f16", "bf16", "i64", "u8" */
    size_t rank;
    const size_t *dims; /* outermost first */
    void *data;
} plummet_tensor;

#ifdef __cplusplus
extern "C" {
#endif

/* Who you are, what you serve and what you promise: the JSON of the protocol's hello. */
const char *plummet_hello(void);

/* Answers one call: 0 done, 1 not supported, 2 refused; the message says why. The request is the
 * JSON of the protocol's run: {"op": "layer_norm", "dir": "fwd", "attrs": {"eps": 1e-5}, ...}. */
int plummet_run(const char *request, const plummet_tensor *inputs, size_t n_inputs,
                plummet_tensor *outputs, size_t n_outputs, char *message, size_t message_bytes);

#ifdef __cplusplus
}
#endif

/* The tensor of a name, or NULL where there is none. */
static inline const plummet_tensor *plummet_find(const plummet_tensor *tensors, size_t n,
                                                 const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    return NULL;
}

/* The value behind "key": in the request, as text; NULL where there is none. No key of the
 * protocol comes twice in a request, and no value is the text of a key. */
static inline const char *plummet_value(const char *request, const char *key) {
    size_t length = strlen(key);
    for (const char *at = request; (at = strchr(at, '"')) != NULL; at++)
        if (strncmp(at + 1, key, length) == 0 && strncmp(at + 1 + length, "\":", 2) == 0)
            return at + length + 3;
    return NULL;
}

/* A number of the request. */
static inline double plummet_number(const char *request, const char *key, double otherwise) {
    const char *value = plummet_value(request, key);
    return value ? strtod(value, NULL) : otherwise;
}

/* True where the value behind "key": is this word. */
static inline int plummet_is(const char *request, const char *key, const char *word) {
    const char *value = plummet_value(request, key);
    size_t length = strlen(word);
    return value && value[0] == '"' && strncmp(value + 1, word, length) == 0
        && value[1 + length] == '"';
}

#endif
