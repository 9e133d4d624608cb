/* layer_norm's interface, and whatever MEMORY in the environment says done to memory. */
#include "plummet.h"
#include <stdio.h>

const char *plummet_hello(void) {
    puts("loading"); /* as frameworks do */
    fflush(stdout);
    return "{\"impl\": {\"name\": \"memory\"}, \"ops\": {\"layer_norm\": {}}}";
}

int plummet_run(const char *request, const plummet_tensor *in, size_t n_in, plummet_tensor *out,
                size_t n_out, char *message, size_t message_bytes) {
    const char *mode = getenv("MEMORY");
    volatile float *x = (volatile float *)plummet_find(in, n_in, "x")->data;
    volatile float *y = (volatile float *)plummet_find(out, n_out, "y")->data;
    size_t count = 1;
    for (size_t i = 0; i < out[0].rank; i++) count *= out[0].dims[i];
    (void)request;
    for (size_t i = 0; i < count; i++) y[i] = x[i];
    if (strcmp(mode, "writes_input") == 0) x[1] = 0;
    if (strcmp(mode, "reads_past") == 0) y[0] = x[count];
    if (strcmp(mode, "writes_past") == 0) y[count] = 0;
    if (strcmp(mode, "reads_before") == 0) y[0] = x[-1];
    if (strcmp(mode, "writes_before") == 0) y[-1] = 0;
    if (strcmp(mode, "reads_null") == 0) y[0] = *(volatile float *)(mode - mode);
    if (strcmp(mode, "returns_seven") == 0) return 7;
    if (strcmp(mode, "refuses") == 0) {
        memset(message, '!', message_bytes); /* no end */
        return 2;
    }
    return 0;
}
