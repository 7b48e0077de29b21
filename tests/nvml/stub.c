/* A libnvidia-ml.so.1 without a GPU. Each call reads the script that NVML_SCRIPT names anew, so a
 * test changes what the GPUs do by replacing that file. What a script holds: __init__.py beside it.
 * Signatures and codes: NVIDIA's nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { GO_ON = -1, LINES = 512, LENGTH = 1024 };

typedef struct { unsigned pid; unsigned long long memory; unsigned gi, ci; } process_t;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, mem, enc, dec; } sample_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_t;

static char script[LINES][LENGTH];
static int count, calls[LINES];

static void load(void) {
  const char *path = getenv("NVML_SCRIPT");
  FILE *file = path ? fopen(path, "r") : NULL;
  count = 0;
  for (; file && count < LINES && fgets(script[count], LENGTH, file); count++)
    script[count][strcspn(script[count], "\n")] = 0;
  if (file) fclose(file);
}

/* The value of "\tkey=value" in a line; NULL where it has none. */
static const char *field(const char *line, const char *key, char *value) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "\t%s=", key);
  const char *found = strstr(line, wanted);
  if (!found) return NULL;
  found += strlen(wanted);
  size_t length = strcspn(found, "\t");
  memcpy(value, found, length);
  value[length] = 0;
  return value;
}

static int is(const char *line, const char *key, const char *wanted) {
  char value[LENGTH];
  return field(line, key, value) && !strcmp(value, wanted);
}

static int starts(const char *line, const char *kind) {
  size_t length = strlen(kind);
  return !strncmp(line, kind, length) && (line[length] == '\t' || !line[length]);
}

/* A device's handle is the number of its line, and one. */
static const char *line_of(void *device) {
  uintptr_t number = (uintptr_t)device;
  return number && number <= (uintptr_t)count ? script[number - 1] : "";
}

static const char *index_of(void *device, char *value) {
  return field(line_of(device), "index", value) ? value : "";
}

static void *handle(const char *index) {
  for (int i = 0; i < count; i++)
    if (starts(script[i], "device") && is(script[i], "index", index))
      return (void *)(uintptr_t)(i + 1);
  return NULL;
}

/* What the script says of a call before it is answered: how long it takes, and whether it fails. */
static int begin(const char *function, void *device) {
  char index[LENGTH], value[LENGTH];
  load();
  index_of(device, index);
  if (!device) index[0] = 0;
  for (int i = 0; i < count; i++) {
    char *line = script[i];
    if (!is(line, "function", function) && !is(line, "function", "*")) continue;
    if (field(line, "device", value) && strcmp(value, index)) continue;
    if (field(line, "times", value) && calls[i] >= atoi(value)) continue;
    calls[i]++;
    if (starts(line, "latency") && field(line, "seconds", value)) usleep(atof(value) * 1e6);
    if (starts(line, "error") && field(line, "code", value)) return atoi(value);
  }
  return GO_ON;
}
#define BEGIN(device) do { int c = begin(__func__, device); if (c != GO_ON) return c; } while (0)

static int number(void *device, const char *key, unsigned long long *out) {
  char value[LENGTH];
  if (!field(line_of(device), key, value)) return NOT_SUPPORTED;
  *out = strtoull(value, NULL, 0);
  return OK;
}

static int number32(void *device, const char *key, unsigned *out) {
  unsigned long long value;
  int code = number(device, key, &value);
  if (code == OK) *out = (unsigned)value;
  return code;
}

static int text(void *device, const char *key, char *out, unsigned size) {
  char value[LENGTH];
  if (!field(line_of(device), key, value)) return NOT_SUPPORTED;
  snprintf(out, size, "%s", value);
  return OK;
}

const char *nvmlErrorString(int code) {
  switch (code) {
    case 3: return "Not Supported";
    case 7: return "Insufficient Size";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
  }
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEGIN(NULL); return OK; }
int nvmlShutdown(void) { return OK; }

int nvmlDeviceGetCount_v2(unsigned *out) {
  char value[LENGTH];
  BEGIN(NULL);
  *out = 0;
  for (int i = 0; i < count; i++)
    if (starts(script[i], "device") && field(script[i], "index", value) && !strchr(value, ':'))
      ++*out;
  return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
  char wanted[16];
  BEGIN(NULL);
  snprintf(wanted, sizeof wanted, "%u", index);
  *out = handle(wanted);
  return *out ? OK : NOT_FOUND;
}

int nvmlDeviceGetName(void *d, char *out, unsigned size) { BEGIN(d); return text(d, "name", out, size); }
int nvmlDeviceGetUUID(void *d, char *out, unsigned size) { BEGIN(d); return text(d, "uuid", out, size); }

static int parts(void *device) {
  char own[LENGTH], value[LENGTH];
  int found = 0;
  size_t length = strlen(index_of(device, own));
  for (int i = 0; i < count; i++)
    found += starts(script[i], "device") && field(script[i], "index", value) &&
             !strncmp(value, own, length) && value[length] == ':';
  return found;
}

int nvmlDeviceGetMigMode(void *d, unsigned *now, unsigned *next) {
  BEGIN(d);
  if (!parts(d)) return NOT_SUPPORTED;
  *now = *next = 1;
  return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *d, unsigned *out) { BEGIN(d); *out = 7; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *d, unsigned number, void **out) {
  char own[LENGTH], wanted[LENGTH + 16];
  BEGIN(d);
  snprintf(wanted, sizeof wanted, "%s:%u", index_of(d, own), number);
  *out = handle(wanted);
  return *out ? OK : NOT_FOUND;
}

int nvmlDeviceGetUtilizationRates(void *d, unsigned *out) {
  BEGIN(d);
  int code = number32(d, "utilisation", &out[0]);
  if (code == OK && number32(d, "memory_use", &out[1]) != OK) out[1] = 0;
  return code;
}

int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *out) {
  BEGIN(d);
  int code = number(d, "memory_total", &out[0]);
  if (code != OK || (code = number(d, "memory_used", &out[2])) != OK) return code;
  out[1] = out[0] - out[2];
  return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *d, memory_t *out) {
  BEGIN(d);
  int code = number(d, "memory_total", &out->total);
  if (code != OK || (code = number(d, "memory_used", &out->used)) != OK) return code;
  out->reserved = 0;
  out->free = out->total - out->used;
  return OK;
}

int nvmlDeviceGetPowerUsage(void *d, unsigned *out) { BEGIN(d); return number32(d, "power_mw", out); }

int nvmlDeviceGetClockInfo(void *d, int type, unsigned *out) {
  BEGIN(d);
  return number32(d, type == 1 ? "sm_clock_mhz" : "memory_clock_mhz", out);
}

int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *out) {
  (void)sensor;
  BEGIN(d);
  return number32(d, "temperature_c", out);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *out) {
  BEGIN(d);
  return number(d, "throttle", out);
}

int nvmlDeviceGetTotalEccErrors(void *d, int type, int counter, unsigned long long *out) {
  (void)type, (void)counter;
  BEGIN(d);
  return number(d, "ecc", out);
}

/* The lines of a kind for a device, in the two calls that NVML wants: for their number, for them. */
static int lines_of(void *d, const char *kind, const char *type, const char **found) {
  char index[LENGTH], value[LENGTH];
  int n = 0;
  index_of(d, index);
  for (int i = 0; i < count; i++)
    if (starts(script[i], kind) && is(script[i], "device", index) &&
        (!type || (field(script[i], "kind", value) && strstr(value, type))))
      found[n++] = script[i];
  return n;
}

static int running(void *d, const char *type, unsigned *size, process_t *out) {
  const char *found[LINES];
  char value[LENGTH];
  unsigned n = lines_of(d, "process", type, found), room = *size;
  *size = n;
  if (n > (out ? room : 0)) return INSUFFICIENT_SIZE;
  for (unsigned i = 0; i < n; i++) {
    out[i].pid = field(found[i], "pid", value) ? strtoul(value, NULL, 10) : 0;
    out[i].memory = field(found[i], "memory_used", value) ? strtoull(value, NULL, 10) : ~0ull;
  }
  return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *size, process_t *out) {
  BEGIN(d);
  return running(d, "compute", size, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *d, unsigned *size, process_t *out) {
  BEGIN(d);
  return running(d, "graphics", size, out);
}

int nvmlDeviceGetProcessUtilization(void *d, sample_t *out, unsigned *size, unsigned long long since) {
  const char *found[LINES];
  char value[LENGTH];
  struct timespec now;
  BEGIN(d);
  if (strchr(index_of(d, value), ':')) return NOT_SUPPORTED;
  unsigned n = lines_of(d, "sample", NULL, found), room = *size, told = 0;
  if (!n) return NOT_FOUND;
  *size = n;
  if (n > (out ? room : 0)) return INSUFFICIENT_SIZE;
  clock_gettime(CLOCK_REALTIME, &now);
  for (unsigned i = 0; i < n; i++) {
    sample_t each = {0};
    double age = field(found[i], "age", value) ? atof(value) : 0;
    each.time = now.tv_sec * 1000000ull + now.tv_nsec / 1000 - (unsigned long long)(age * 1e6);
    if (each.time < since) continue;
    each.pid = field(found[i], "pid", value) ? strtoul(value, NULL, 10) : 0;
    each.sm = field(found[i], "sm", value) ? strtoul(value, NULL, 10) : 0;
    each.mem = field(found[i], "mem", value) ? strtoul(value, NULL, 10) : 0;
    out[told++] = each;
  }
  *size = told;
  return told ? OK : NOT_FOUND;
}
