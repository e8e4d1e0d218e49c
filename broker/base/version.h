/* version.h - the release, as `healthmed version`, discovery and the metrics say it. */
#ifndef BROKER_BASE_VERSION_H
#define BROKER_BASE_VERSION_H

#ifndef VERSION
#define VERSION "0.1.0"
#endif
#endif
