#pragma once

// The few declarations of NVML, NVIDIA's management library, that are used here. Nothing is linked: the functions are
// looked up by name at run time (dlsym). Written from NVIDIA's NVML API Reference Guide,
// https://docs.nvidia.com/deploy/nvml-api/ ("Device Queries", "System Queries", "Multi Instance GPU Management",
// nvmlMemory_t, nvmlMemory_v2_t, nvmlUtilization_t, nvmlReturn_t); names are our own.

typedef struct nvml_device *NVMLHandle;

// nvmlUtilization_t: percent.
typedef struct {
    unsigned int gpu;
    unsigned int memory;
} NVMLUtilization;

// nvmlMemory_t: bytes; used includes what the driver reserves.
typedef struct {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
} NVMLMemory;

// nvmlMemory_v2_t: bytes.
typedef struct {
    unsigned int version;
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
} NVMLMemory2;

// NVML_STRUCT_VERSION(Memory, 2): the structure's size, and its version in the top byte.
static const unsigned int nvmlMemory2Version = sizeof(NVMLMemory2) | 2u << 24;

// The return value is an nvmlReturn_t.
typedef int (*NVMLInit)(void);
typedef const char *(*NVMLErrorString)(int code);
typedef int (*NVMLSystemText)(char *text, unsigned int size);
typedef int (*NVMLSystemNumber)(int *number);
typedef int (*NVMLCount)(unsigned int *count);
typedef int (*NVMLHandleByIndex)(unsigned int index, NVMLHandle *device);
typedef int (*NVMLText)(NVMLHandle device, char *text, unsigned int size);
typedef int (*NVMLNumber)(NVMLHandle device, unsigned int *number);
typedef int (*NVMLTwoNumbers)(NVMLHandle device, unsigned int *first, unsigned int *second);
typedef int (*NVMLGetUtilization)(NVMLHandle device, NVMLUtilization *utilization);
typedef int (*NVMLGetMemory)(NVMLHandle device, NVMLMemory *memory);
typedef int (*NVMLGetMemory2)(NVMLHandle device, NVMLMemory2 *memory);
typedef int (*NVMLMIGHandleByIndex)(NVMLHandle device, unsigned int index, NVMLHandle *instance);
