/* bench_http: the http driver beside a bare libcurl multi loop, same nginx, same requests, same number at once, in one run.
 *
 *   bench_http [REQUESTS] [AT-ONCE] [bare|driver]       one side only: for a profiler
 *
 * Both send the same JSON by POST over as many kept-alive connections and get the same small JSON answer. The driver also names itself
 * (one header line more), fills templates, guards against a second POST, collects the answer and judges it; the bare loop throws the
 * answer away. The bare loop is curl_multi_perform() with curl_multi_poll(): with curl_multi_socket_action() on libevent it takes 3 %
 * more instructions. Rounds alternate, the best of each counts. Prints one line each with requests a second and CPU microseconds a
 * request (of this process; nginx is another), and the two ratios. Exit 1 where the driver is slower than 0.7 of the bare loop or
 * takes more than 1.4 times its CPU. */
#include "base/arena.h"
#include "base/conf.h"
#include "channels/http.h"
#include "channels/http_settings.h"
#include "tests/support/server.h"
#include "tests/support/shell.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 3, AT_ONCE_MAX = 512 };

struct result {
    double per_second;
    double cpu_us;
};

struct load {
    int port;
    int n;
    int at_once;
};

static void __attribute__((noreturn)) die(const char *what) {
    perror(what);
    exit(2);
}

/* ---- nginx ----------------------------------------------------------------------------------------------------------- */

static void write_conf(const char *dir, int port) {
    char path[300];
    (void)snprintf(path, sizeof path, "%s/nginx.conf", dir);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        die(path);
    }
    (void)fprintf(file,
                  "daemon off; master_process off; pid %s/pid; error_log stderr crit;\nevents { worker_connections 1024; }\n"
                  "http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u;\n"
                  "scgi_temp_path %s/s; keepalive_requests 100000000; server { listen 127.0.0.1:%d;\n"
                  "location / { default_type application/json; return 201 '{\"id\":\"SM123\",\"status\":\"queued\"}'; } } }\n",
                  dir, dir, dir, dir, dir, dir, port);
    (void)fclose(file);
}

static pid_t start_nginx(char *dir, int port) {
    char conf[300];
    (void)snprintf(conf, sizeof conf, "%s/nginx.conf", dir);
    write_conf(dir, port);
    char log[300];
    (void)snprintf(log, sizeof log, "%s/log", dir);
    char *argv[] = {(char[]){"nginx"}, (char[]){"-p"}, dir, (char[]){"-c"}, conf, NULL};
    pid_t pid = server_start(argv, log);
    if (!server_wait(pid, port)) {
        (void)fprintf(stderr, "bench_http: nginx does not start (is it installed?)\n");
        exit(2);
    }
    return pid;
}

/* ---- clocks ---------------------------------------------------------------------------------------------------------- */

static double cpu_s(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0) {
        die("getrusage");
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double wall_s(void) {
    return (double)clock_mono_ms(&clock_system) / 1e3;
}

/* ---- the bare loop --------------------------------------------------------------------------------------------------- */

static const char body[] = "{\"to\":\"+441632960001\",\"text\":\"Your mailbox password was disabled.\",\"ref\":\"0123456789abcdef\"}";

static size_t ignore(char *data, size_t size, size_t n, void *arg) {
    (void)data;
    (void)arg;
    return size * n;
}

static CURL *bare_easy(const char *url, struct curl_slist *headers) {
    CURL *easy = curl_easy_init();
    if (easy == NULL || curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore) != CURLE_OK || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK) {
        die("libcurl");
    }
    return easy;
}

/* Collects what is done and starts as many again while any are left. */
static void bare_collect(CURLM *multi, int *to_start, int *to_finish) {
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
        CURL *easy = message->easy_handle;
        if (message->data.result != CURLE_OK) {
            (void)fprintf(stderr, "bare loop: %s\n", curl_easy_strerror(message->data.result));
            exit(2);
        }
        (void)curl_multi_remove_handle(multi, easy);
        (*to_finish)--;
        if (*to_start > 0) {
            (*to_start)--;
            (void)curl_multi_add_handle(multi, easy);
        }
    }
}

static void bare_run(const struct load *load) {
    char url[80];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/messages", load->port);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLM *multi = curl_multi_init();
    CURL *easies[AT_ONCE_MAX];
    (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)load->at_once);
    int to_start = load->n - load->at_once;
    int to_finish = load->n;
    for (int i = 0; i < load->at_once; i++) {
        easies[i] = bare_easy(url, headers);
        (void)curl_multi_add_handle(multi, easies[i]);
    }
    while (to_finish > 0) {
        int running = 0;
        if (curl_multi_perform(multi, &running) != CURLM_OK) {
            die("curl_multi_perform");
        }
        bare_collect(multi, &to_start, &to_finish);
        if (to_finish > 0) {
            (void)curl_multi_poll(multi, NULL, 0, 1000, NULL);
        }
    }
    for (int i = 0; i < load->at_once; i++) {
        curl_easy_cleanup(easies[i]);
    }
    (void)curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
}

/* ---- the driver ------------------------------------------------------------------------------------------------------ */

struct driver_run {
    struct event_base *base;
    struct gateway *gateway;
    int to_start;
    int to_finish;
};

static const struct message bench_message = {
    .to = "+441632960001", .text = "Your mailbox password was disabled.", .key = "0123456789abcdef"};

static void on_done(void *ctx, const struct outcome *outcome);

static void driver_send(struct driver_run *run) {
    struct err err;
    run->to_start--;
    if (channel_http.send(run->gateway, &bench_message, INT64_MAX, on_done, run, &err) < 0) {
        (void)fprintf(stderr, "bench_http: %s\n", err.text);
        exit(2);
    }
}

static void on_done(void *ctx, const struct outcome *outcome) {
    struct driver_run *run = ctx;
    if (outcome->kind != OUTCOME_SENT) {
        (void)fprintf(stderr, "driver: %s\n", outcome->reason);
        exit(2);
    }
    if (--run->to_finish == 0) {
        (void)event_base_loopbreak(run->base);
    }
    if (run->to_start > 0) {
        driver_send(run); /* the driver starts it by itself, as it has room again */
    }
}

static void driver_run(const struct load *load) {
    char yaml[1000];
    int len = snprintf(yaml, sizeof yaml,
                       "url: http://127.0.0.1:%d/v1/messages\nbody: json\nfields: {to: \"{{to}}\", text: \"{{text}}\", ref: \"{{key}}\"}\n"
                       "success_field: /status\nsuccess_values: [queued]\nid: /id\nallow_insecure: true\nallow_private: true\n"
                       "parallel: %d\nconnections: %d\n",
                       load->port, load->at_once, load->at_once);
    struct arena arena = ARENA_INIT;
    struct http_settings *settings = arena_alloc(&arena, sizeof *settings);
    struct err err;
    if (conf_read_text(yaml, (size_t)len, "bench", &http_table, settings, &arena, &err) < 0) {
        (void)fprintf(stderr, "bench_http: %s\n", err.text);
        exit(2);
    }
    struct driver_run run = {.base = event_base_new(), .to_start = load->n, .to_finish = load->n};
    struct channel_env env = {.base = run.base, .clock = &clock_system};
    struct gateway_settings gateway_settings = {.name = "bench", .channel = "sms", .driver_settings = settings};
    run.gateway = channel_http.open(&env, &gateway_settings, &err);
    if (run.gateway == NULL) {
        (void)fprintf(stderr, "bench_http: %s\n", err.text);
        exit(2);
    }
    for (int i = 0; i < 2 * load->at_once && run.to_start > 0; i++) {
        driver_send(&run);
    }
    channel_http.flush(run.gateway);
    (void)event_base_dispatch(run.base);
    channel_http.close(run.gateway);
    event_base_free(run.base);
    arena_fini(&arena);
}

/* ---- side by side ---------------------------------------------------------------------------------------------------- */

static void measure(void (*what)(const struct load *load), const struct load *load, struct result *best) {
    double cpu = cpu_s();
    double wall = wall_s();
    what(load);
    double per_second = load->n / (wall_s() - wall);
    double cpu_us = (cpu_s() - cpu) / load->n * 1e6;
    best->per_second = per_second > best->per_second ? per_second : best->per_second;
    best->cpu_us = best->cpu_us == 0 || cpu_us < best->cpu_us ? cpu_us : best->cpu_us;
}

/* The k-th argument as a number, or what is usual. */
static int number(int argc, char **argv, int k, int usual) {
    return argc > k ? (int)strtol(argv[k], NULL, 10) : usual;
}

int main(int argc, char **argv) {
    struct load load = {.n = number(argc, argv, 1, 50000), .at_once = number(argc, argv, 2, 32)};
    if (load.n < load.at_once || load.at_once < 1 || load.at_once > AT_ONCE_MAX) {
        (void)fprintf(stderr, "usage: bench_http [REQUESTS] [AT-ONCE 1..%d]\n", AT_ONCE_MAX);
        return 2;
    }
    char dir[] = "/tmp/reach_bench_http_XXXXXX";
    if (mkdtemp(dir) == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        die("mkdtemp");
    }
    load.port = server_free_port();
    pid_t nginx = start_nginx(dir, load.port);
    struct result bare = {0};
    struct result driver = {0};
    const char *only = argc > 3 ? argv[3] : "";
    for (int i = 0; i < ROUNDS; i++) {
        if (strcmp(only, "driver") != 0) {
            measure(bare_run, &load, &bare);
        }
        if (strcmp(only, "bare") != 0) {
            measure(driver_run, &load, &driver);
        }
    }
    server_stop(nginx);
    char clear[80];
    (void)snprintf(clear, sizeof clear, "rm -rf %s", dir);
    (void)shell(clear);
    double speed = driver.per_second / bare.per_second;
    double cpu = driver.cpu_us / bare.cpu_us;
    (void)printf("bare libcurl multi loop  %8.0f requests/s  %6.1f us CPU/request\n", bare.per_second, bare.cpu_us);
    (void)printf("http driver              %8.0f requests/s  %6.1f us CPU/request\n", driver.per_second, driver.cpu_us);
    (void)printf("ratio: speed %.2f (at least 0.70), CPU %.2f (at most 1.40), %d requests, %d at once\n", speed, cpu, load.n, load.at_once);
    return speed >= 0.7 && cpu <= 1.4 ? 0 : 1;
}
