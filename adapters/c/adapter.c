/* layer_norm in C, forward and backward, served as a shared library. Replace the loops by yours:
 *     cc -O2 -shared -fPIC -o libmine.so adapter.c -lm && plummet gate check --lib ./libmine.so */
#include "plummet.h"
#include <math.h>

const char *plummet_hello(void) {
    return "{\"impl\": {\"name\": \"mine\", \"version\": \"0.1\", \"language\": \"c\"},"
           " \"ops\": {\"layer_norm\": {\"dir\": [\"fwd\", \"bwd\"], \"dtype\": [\"f32\"]}},"
           " \"claims\": {\"deterministic\": true, \"inputs_untouched\": true}}";
}

static float *data(const plummet_tensor *tensor) { return tensor ? (float *)tensor->data : NULL; }

int plummet_run(const char *request, const plummet_tensor *in, size_t n_in, plummet_tensor *out,
                size_t n_out, char *message, size_t message_bytes) {
    const plummet_tensor *input = plummet_find(in, n_in, "x");
    const float *x = data(input), *dy = data(plummet_find(in, n_in, "dy"));
    const float *weight = data(plummet_find(in, n_in, "weight"));
    const float *bias = data(plummet_find(in, n_in, "bias"));
    float *y = data(plummet_find(out, n_out, "y")), *dx = data(plummet_find(out, n_out, "dx"));
    float *dweight = data(plummet_find(out, n_out, "dweight"));
    float *dbias = data(plummet_find(out, n_out, "dbias"));
    const double eps = plummet_number(request, "eps", 1e-5);
    const size_t normalized = (size_t)plummet_number(request, "normalized_dims", 1);
    if (!plummet_is(request, "op", "layer_norm")) {
        strncpy(message, "only layer_norm", message_bytes);
        return 1;
    }
    size_t rows = 1, cols = 1;
    for (size_t i = 0; i < input->rank; i++)
        *(i + normalized < input->rank ? &rows : &cols) *= input->dims[i];
    for (size_t j = 0; dweight && j < cols; j++) dweight[j] = 0;
    for (size_t j = 0; dbias && j < cols; j++) dbias[j] = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *row = x + i * cols;
        double mean = 0, variance = 0, of_dy = 0, of_dy_x = 0;
        for (size_t j = 0; j < cols; j++) mean += row[j] / (double)cols;
        for (size_t j = 0; j < cols; j++) variance += (row[j] - mean) * (row[j] - mean) / cols;
        const double rstd = 1 / sqrt(variance + eps);
        for (size_t j = 0; j < cols; j++) {
            const double hat = (row[j] - mean) * rstd, w = weight ? weight[j] : 1;
            if (y) y[i * cols + j] = (float)(hat * w + (bias ? bias[j] : 0));
            if (dy) of_dy += dy[i * cols + j] * w / cols;
            if (dy) of_dy_x += dy[i * cols + j] * w * hat / cols;
            if (dweight) dweight[j] += (float)(dy[i * cols + j] * hat);
            if (dbias) dbias[j] += dy[i * cols + j];
        }
        for (size_t j = 0; dx && j < cols; j++) {
            const double hat = (row[j] - mean) * rstd, w = weight ? weight[j] : 1;
            dx[i * cols + j] = (float)(rstd * (dy[i * cols + j] * w - of_dy - hat * of_dy_x));
        }
    }
    return 0;
}
