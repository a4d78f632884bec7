// Stands for NVIDIA's libnvidia-ml.so.1 in tests. The file `answers` beside it has its answers, one `key value` a line, and
// is read at each call. Environment variables would not reach it. Without the file it has the usual answers:
//
//   count 2               gpu0.utilization 7      gpu0.total 24564 (MiB; also reserved, used, free)
//   init !18              gpu0.uuid GPU-aaaa      gpu0.name A      gpu0.mig 1      gpu0.migcount 2
//   generation 2          the driver of which handles are valid: once it has changed, those of before never work again
//   allow 5               no more samples (looks at GPU 0's utilization) than that
//   once 1                the file is read but once, and nothing is counted: to measure what asking costs, not the fake
//
// In place of a value: `!N`: the error N; `hang`: the call never returns; `crash`: a segmentation fault; `stop`: stops the
// process; `print`: writes to standard output; `wave`: a number that changes every 200 ms. Each look at GPU 0's utilization
// adds a byte to the file `answers.samples`; each initialization one to `answers.starts`.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct device *Device;

// A MIG device's handle is 1000 and more.
enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, MIG = 1000 };

// A file in the directory that the dynamic linker has found this library in, be it by a link.
static void place(const char *name, char *path, size_t size) {
    Dl_info library;
    if (!dladdr((void *)place, &library)) abort();
    const char *slash = strrchr(library.dli_fname, '/');
    int length = slash ? (int)(slash - library.dli_fname) : 0;
    snprintf(path, size, "%.*s/%s", length, library.dli_fname, name);
}

// The file's text, once it is no longer read.
static char remembered[65536];

static int find(FILE *file, const char *key, char *value, size_t size) {
    char line[256];
    int isFound = 0;
    size_t length = strlen(key);
    while (file && !isFound && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) != 0 || line[length] != ' ') continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(value, size, "%s", line + length + 1);
        isFound = 1;
    }
    if (file) fclose(file);
    return isFound;
}

static int findRemembered(const char *key, char *value, size_t size) {
    size_t length = strlen(key);
    for (const char *line = remembered; *line; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, key, length) != 0 || line[length] != ' ') continue;
        snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
        return 1;
    }
    return 0;
}

static int look(const char *key, char *value, size_t size) {
    char path[4096];
    if (remembered[0]) return findRemembered(key, value, size);
    place("answers", path, sizeof path);
    return find(fopen(path, "re"), key, value, size);
}

static void rememberIfTold(void) {
    char path[4096], value[32];
    place("answers", path, sizeof path);
    if (remembered[0] || !look("once", value, sizeof value)) return;
    FILE *file = fopen(path, "re");
    if (!file) return;
    // Each line ends with a line feed, and the last is followed by zeros.
    size_t length = fread(remembered, 1, sizeof remembered - 2, file);
    if (length > 0 && remembered[length - 1] != '\n') remembered[length] = '\n';
    fclose(file);
}

static void note(const char *name) {
    char path[4096];
    if (remembered[0]) return;
    place("answers", path, sizeof path);
    if (access(path, F_OK) != 0) return;
    place(name, path, sizeof path);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || write(file, "x", 1) != 1) abort();
    close(file);
}

// Finds a value, and does what is said in its place; `otherwise` counts when nothing is said.
static int answer(const char *key, const char *otherwise, char *value, size_t size) {
    if (!look(key, value, size)) {
        if (!otherwise) return NOT_SUPPORTED;
        snprintf(value, size, "%s", otherwise);
    }
    if (value[0] == '!') return atoi(value + 1);
    if (strcmp(value, "hang") == 0) {
        for (;;) pause();
    }
    if (strcmp(value, "crash") == 0) {
        // It has to look like one under AddressSanitizer too.
        signal(SIGSEGV, SIG_DFL);
        *(volatile int *)NULL = 0;
    }
    if (strcmp(value, "stop") == 0) raise(SIGSTOP);
    if (strcmp(value, "wave") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(value, size, "%ld", (now.tv_sec * 5 + now.tv_nsec / 200000000) % 101);
    }
    if (strcmp(value, "print") == 0) {
        puts("a message of the library's");
        fflush(stdout);
        snprintf(value, size, "0");
    }
    return SUCCESS;
}

static char generation[32];

static int answerOf(Device device, const char *name, const char *otherwise, char *value, size_t size) {
    char key[64];
    char now[32] = "";
    size_t number = (size_t)device - 1;
    look("generation", now, sizeof now);
    // NVML_ERROR_UNKNOWN.
    if (strcmp(now, generation) != 0) return 999;
    if (number >= MIG) {
        snprintf(key, sizeof key, "gpu%zu.mig%zu.%s", (number - MIG) / 100, (number - MIG) % 100, name);
    } else {
        snprintf(key, sizeof key, "gpu%zu.%s", number, name);
    }
    return answer(key, otherwise, value, size);
}

static int numberOf(Device device, const char *name, const char *otherwise, unsigned long long *number) {
    char value[128];
    int code = answerOf(device, name, otherwise, value, sizeof value);
    if (code == SUCCESS) *number = strtoull(value, NULL, 10);
    return code;
}

static int textOf(Device device, const char *name, const char *otherwise, char *text, unsigned size) {
    char value[128];
    int code = answerOf(device, name, otherwise, value, sizeof value);
    if (code == SUCCESS) snprintf(text, size, "%s", value);
    return code;
}

int nvmlInit_v2(void) {
    char value[128];
    rememberIfTold();
    note("answers.starts");
    look("generation", generation, sizeof generation);
    return answer("init", "0", value, sizeof value);
}

// NVML's words for some errors; the others only have to be told apart.
const char *nvmlErrorString(int code) {
    static char words[64];
    switch (code) {
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 16: return "GPU requires reset";
    case 18: return "Driver/library version mismatch";
    case 999: return "Unknown Error";
    default:
        snprintf(words, sizeof words, "error number %d", code);
        return words;
    }
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    char value[128];
    int code = answer("driver", "560.35.03", value, sizeof value);
    if (code == SUCCESS) snprintf(text, size, "%s", value);
    return code;
}

int nvmlSystemGetCudaDriverVersion(int *number) {
    char value[128];
    int code = answer("cuda", "12060", value, sizeof value);
    if (code == SUCCESS) *number = atoi(value);
    return code;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    char value[128];
    int code = answer("count", "1", value, sizeof value);
    if (code == SUCCESS) *count = (unsigned)atoi(value);
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    unsigned long long number;
    *device = (Device)(size_t)(index + 1);
    return numberOf(*device, "handle", "0", &number);
}

int nvmlDeviceGetUUID(Device device, char *text, unsigned size) {
    char otherwise[64];
    snprintf(otherwise, sizeof otherwise, "GPU-%zu", (size_t)device - 1);
    return textOf(device, "uuid", otherwise, text, size);
}

int nvmlDeviceGetName(Device device, char *text, unsigned size) {
    return textOf(device, "name", "NVIDIA Example", text, size);
}

static void waitUntilAllowed(unsigned long long sample) {
    char value[32];
    while (look("allow", value, sizeof value) && sample > strtoull(value, NULL, 10)) usleep(1000);
}

int nvmlDeviceGetUtilizationRates(Device device, unsigned rates[2]) {
    static unsigned long long samples;
    unsigned long long number = 0;
    if ((size_t)device == 1) {
        waitUntilAllowed(++samples);
        note("answers.samples");
    }
    int code = numberOf(device, "utilization", "0", &number);
    rates[0] = (unsigned)number;
    rates[1] = 55;
    return code;
}

struct memory2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo_v2(Device device, struct memory2 *memory) {
    unsigned long long isSupported, total, reserved, used, free, isIncluded;
    int code = numberOf(device, "memory2", "1", &isSupported);
    // NVML_ERROR_ARGUMENT_VERSION_MISMATCH, as NVIDIA's header defines the version.
    if (memory->version != 0x02000028) return 25;
    if (code != SUCCESS) return code;
    if ((code = numberOf(device, "total", "24564", &total)) != SUCCESS) return code;
    if ((code = numberOf(device, "reserved", "452", &reserved)) != SUCCESS) return code;
    if ((code = numberOf(device, "used", "4", &used)) != SUCCESS) return code;
    if ((code = numberOf(device, "free", "24108", &free)) != SUCCESS) return code;
    if ((code = numberOf(device, "included", "0", &isIncluded)) != SUCCESS) return code;
    memory->total = total << 20;
    memory->reserved = reserved << 20;
    memory->free = free << 20;
    memory->used = (isIncluded ? used + reserved : used) << 20;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device device, unsigned long long memory[3]) {
    unsigned long long total, used;
    int code = numberOf(device, "total", "24564", &total);
    if (code != SUCCESS) return code;
    if ((code = numberOf(device, "used1", "456", &used)) != SUCCESS) return code;
    memory[0] = total << 20;
    memory[1] = (total - used) << 20;
    memory[2] = used << 20;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    unsigned long long number = 0;
    int code = numberOf(device, "mig", NULL, &number);
    *current = *pending = (unsigned)number;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) {
    unsigned long long number = 0;
    int code = numberOf(device, "migcount", "7", &number);
    *count = (unsigned)number;
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device gpu, unsigned index, Device *device) {
    unsigned long long number;
    *device = (Device)(MIG + ((size_t)gpu - 1) * 100 + index + 1);
    return numberOf(*device, "exists", "!6", &number);
}

int nvmlDeviceGetGpuInstanceId(Device device, unsigned *identifier) {
    unsigned long long number = 0;
    int code = numberOf(device, "gi", "0", &number);
    *identifier = (unsigned)number;
    return code;
}

int nvmlDeviceGetComputeInstanceId(Device device, unsigned *identifier) {
    unsigned long long number = 0;
    int code = numberOf(device, "ci", "0", &number);
    *identifier = (unsigned)number;
    return code;
}
