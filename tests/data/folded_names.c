/* A library for LD_PRELOAD that makes a folder ignore the case of names, as some disks do: below
   the folder $FOLDED, every name is that in lower case. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE 4096

static const char *fold(const char *path, char *buffer) {
    const char *folder = getenv("FOLDED");
    if (!path || !folder || strlen(path) >= SIZE) return path;
    size_t length = strlen(folder);
    if (strncmp(path, folder, length)) return path;
    strcpy(buffer, path);
    for (char *at = buffer + length; *at; at++) *at = tolower((unsigned char)*at);
    return buffer;
}

#define NEXT(type, name, ...) \
    char folded[SIZE]; \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t);
    va_end(list);
    NEXT(int, "open64", const char *, int, ...);
    return next(fold(path, folded), flags, mode);
}
int rename(const char *from, const char *to) {
    char other[SIZE];
    NEXT(int, "rename", const char *, const char *);
    return next(fold(from, folded), fold(to, other));
}
int unlink(const char *path) {
    NEXT(int, "unlink", const char *);
    return next(fold(path, folded));
}
int chmod(const char *path, mode_t mode) {
    NEXT(int, "chmod", const char *, mode_t);
    return next(fold(path, folded), mode);
}
int stat64(const char *path, struct stat64 *status) {
    NEXT(int, "stat64", const char *, struct stat64 *);
    return next(fold(path, folded), status);
}
int stat(const char *path, struct stat *status) {
    NEXT(int, "stat", const char *, struct stat *);
    return next(fold(path, folded), status);
}
int lstat64(const char *path, struct stat64 *status) {
    NEXT(int, "lstat64", const char *, struct stat64 *);
    return next(fold(path, folded), status);
}
