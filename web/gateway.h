/*
 * gateway.h - the subcommand that serves HTTP.
 *
 * With --help or -h among the arguments it prints its help and returns 0, without a configuration.
 * Otherwise the configuration is loaded, SIGPIPE is ignored, and SIGTERM and SIGINT are blocked
 * since before any thread existed: it takes them by sigwait, drains and returns the exit code.
 */
#ifndef WEB_GATEWAY_H
#define WEB_GATEWAY_H

int gateway_main(int argc, char **argv);
#endif
