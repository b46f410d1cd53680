/* An open-loop load generator for HTTP/1.1: requests leave when they are due, whatever comes back.

   load PORT REQUESTS RATE SECONDS CONNECTIONS > RESULTS

   REQUESTS holds for each request two lengths (uint32), its bytes, and a text that a right answer
   contains. A RATE of 0 sends the next request of a connection as soon as the last is answered.
   RESULTS has three int32 for each request: its status (0: the connection was lost, -1: no answer),
   the microseconds since it was due, and whether the answer is right. A server that stalls is so
   charged for all who had to wait (Gil Tene's "coordinated omission", as in wrk2).

   bench/serve.py compiles and starts it. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, MOST = 1 << 22, WAIT_SECONDS = 2 };

struct request { uint32_t size, answer_size; const char *bytes, *answer; };
struct connection { int fd, is_busy, n; double due; const struct request *sent; char *got; };

static struct request requests[4096];
static int n_requests, n_made, poller, port;
static double late[MOST]; /* when requests were due for which no connection was free */
static int first_late, n_late;
static struct connection *free_ones[65536];
static int n_free;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void stop(const char *why) {
  perror(why);
  exit(1);
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) stop(path);
  uint32_t sizes[2];
  while (n_requests < 4096 && fread(sizes, 4, 2, file) == 2) {
    char *bytes = malloc(sizes[0] + sizes[1]);
    if (fread(bytes, 1, sizes[0] + sizes[1], file) != sizes[0] + sizes[1]) stop(path);
    requests[n_requests++] = (struct request){sizes[0], sizes[1], bytes, bytes + sizes[0]};
  }
  fclose(file);
}

static void open_connection(struct connection *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int yes = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) stop("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void ask(struct connection *c, double due) {
  c->is_busy = 1, c->n = 0, c->due = due, c->sent = &requests[n_made++ % n_requests];
  send(c->fd, c->sent->bytes, c->sent->size, MSG_NOSIGNAL);
}

static void note(struct connection *c, int status, int is_right) {
  int32_t row[3] = {status, 1e6 * (now() - c->due), is_right};
  fwrite(row, 4, 3, stdout);
  c->is_busy = 0;
}

/* Read what has come; whether the connection is free for another request. */
static int answered(struct connection *c) {
  ssize_t n = recv(c->fd, c->got + c->n, BUFFER - c->n - 1, 0);
  if (n <= 0) {
    if (c->is_busy) note(c, 0, 1);
    close(c->fd);
    open_connection(c);
    return 1;
  }
  c->n += n, c->got[c->n] = 0;
  char *end = strstr(c->got, "\r\n\r\n");
  if (!end) return 0;
  *end = 0;
  char *length = strcasestr(c->got, "\r\ncontent-length:");
  int closes = strcasestr(c->got, "\r\nconnection: close") != NULL;
  *end = '\r';
  if (!length || c->got + c->n < end + 4 + atoi(length + 17)) return 0;
  int status = atoi(c->got + 9);
  size_t size = c->got + c->n - end;
  note(c, status, status != 200 || memmem(end, size, c->sent->answer, c->sent->answer_size));
  if (closes) {
    close(c->fd);
    open_connection(c);
  }
  return 1;
}

int main(int n_words, char **words) {
  if (n_words != 6) return 2;
  port = atoi(words[1]);
  read_requests(words[2]);
  double rate = atof(words[3]), seconds = atof(words[4]);
  int n = atoi(words[5]), n_due = 0;
  poller = epoll_create1(0);
  struct connection *all = calloc(n, sizeof *all);
  for (int i = 0; i < n; i++) {
    all[i].got = malloc(BUFFER);
    open_connection(&all[i]);
    free_ones[n_free++] = &all[i];
  }
  double start = now() + 0.05, end = start + seconds;
  for (double t = now(); t < end + WAIT_SECONDS; t = now()) {
    while (rate > 0 && start + n_due / rate <= t && start + n_due / rate < end && n_late < MOST)
      late[(first_late + n_late++) % MOST] = start + n_due++ / rate;
    while (n_free && (rate > 0 ? n_late > 0 : t < end)) {
      double due = rate > 0 ? late[first_late] : t;
      if (rate > 0) first_late = (first_late + 1) % MOST, n_late--;
      ask(free_ones[--n_free], due);
    }
    if (t > end && n_free == n) break;
    struct epoll_event events[256];
    int n_events = epoll_wait(poller, events, 256, rate > 0 && rate > 500 ? 0 : 1);
    for (int i = 0; i < n_events; i++) {
      struct connection *c = events[i].data.ptr;
      int was_busy = c->is_busy;
      if (answered(c) && was_busy) free_ones[n_free++] = c;
    }
  }
  for (int i = 0; i < n; i++)
    if (all[i].is_busy) note(&all[i], -1, 1);
  for (int32_t row[3] = {-1, 1000000 * WAIT_SECONDS, 1}; n_late > 0; n_late--) fwrite(row, 4, 3, stdout);
  return 0;
}
