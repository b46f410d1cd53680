#!/bin/sh
# The service, asked with curl. First, in another terminal: tenfold serve RUN
# sh service.sh IMAGES.idx.gz [http://127.0.0.1:8000]
set -eu
service=${2:-http://127.0.0.1:8000}

curl -sSf "$service/health/ready" && echo

# The first picture of an IDX file: 784 bytes behind a header of 16.
gzip -dc "$1" | tail -c +17 | head -c 784 |
  curl -sSf "$service/v1/predict" -H 'content-type: application/octet-stream' --data-binary @-
echo

# The same picture as JSON: a list of 784 numbers.
numbers=$(gzip -dc "$1" | tail -c +17 | head -c 784 | od -An -v -tu1 | tr -s ' \n' ',' | sed 's/^,//; s/,$//')
echo "{\"images\": [[$numbers]]}" |
  curl -sSf "$service/v1/predict" -H 'content-type: application/json' --data-binary @-
echo
