/* A library for LD_PRELOAD that makes file system calls fail.

   FAULT_PATH   a call counts if this text is in its path, or in that of its file descriptor
   FAULT_CALLS  the calls that count, such as "write,close"
   FAULT_FIRST  the number of the first of these calls to fail, from 1 on
   FAULT_COUNT  how many of them fail from there on
   FAULT_ERRNO  the error; or minus the signal that ends the process
   FAULT_LOG    a file for one byte a counted call; not set: none */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long counted;

static int fails(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_PATH"), *calls = getenv("FAULT_CALLS");
    if (!wanted || !calls || !path || !strstr(path, wanted) || !strstr(calls, call)) return 0;
    long number = __sync_add_and_fetch(&counted, 1);
    const char *log = getenv("FAULT_LOG");
    if (log) {
        int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        syscall(SYS_write, fd, ".", 1);
        syscall(SYS_close, fd);
    }
    long first = atol(getenv("FAULT_FIRST")), count = atol(getenv("FAULT_COUNT"));
    if (number < first || number >= first + count) return 0;
    int error = atoi(getenv("FAULT_ERRNO"));
    if (error < 0) kill(getpid(), -error);
    errno = error;
    return 1;
}

static int fails_fd(const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t);
    va_end(list);
    NEXT(int, "open64", const char *, int, ...);
    const char *call = flags & (O_WRONLY | O_RDWR) ? "open" : "read";
    return fails(call, path) ? -1 : next(path, flags, mode);
}
ssize_t write(int fd, const void *data, size_t size) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    return fails_fd("write", fd) ? -1 : next(fd, data, size);
}
int close(int fd) {
    NEXT(int, "close", int);
    int failed = fails_fd("close", fd), error = errno;
    int result = next(fd);
    if (failed) errno = error;
    return failed ? -1 : result;
}
int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    return fails("rename", to) ? -1 : next(from, to);
}
int unlink(const char *path) {
    NEXT(int, "unlink", const char *);
    return fails("unlink", path) ? -1 : next(path);
}
int mkdir(const char *path, mode_t mode) {
    NEXT(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : next(path, mode);
}
int chmod(const char *path, mode_t mode) {
    NEXT(int, "chmod", const char *, mode_t);
    return fails("chmod", path) ? -1 : next(path, mode);
}
int ftruncate64(int fd, off64_t size) {
    NEXT(int, "ftruncate64", int, off64_t);
    return fails_fd("truncate", fd) ? -1 : next(fd, size);
}
