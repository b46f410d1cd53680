# The service around one run, from tenfold-slim: docs/guide/deploy.md has the commands.
FROM python:3.13-slim
ARG RUN=runs/mnist-network-1
# `make dist` builds it. The packages take some 315 MB of the image.
COPY dist/tenfold_slim-*.whl /tmp/
RUN pip install --no-cache-dir "$(echo /tmp/tenfold_slim-*.whl)[serve]" \
    && rm /tmp/tenfold_slim-*.whl \
    && useradd --no-create-home --uid 10001 tenfold
COPY ${RUN} /runs/model
# As a number, so that Kubernetes knows that it is not root.
USER 10001
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=3)"]
# PID 1 gets SIGTERM itself: no shell in between.
ENTRYPOINT ["tenfold", "serve", "/runs/model", "--host", "0.0.0.0"]
