# A fleet in a container: psv is PID 1 and reaps everything; the fleet folder is the volume.
#   docker build -t psv . && docker run --rm -it -v ./my-fleet:/fleet -p 127.0.0.1:8450:8450 psv
FROM python:3.12-slim AS wheel
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && PIP_CONSTRAINT=constraints.txt python -m build --wheel --outdir /dist

FROM python:3.12-slim
COPY constraints.txt /tmp/constraints.txt
COPY --from=wheel /dist /tmp/dist
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt /tmp/dist/*.whl && rm -r /tmp/dist \
    && useradd --uid 1000 --create-home psv && install -d -o psv -g psv /fleet
USER psv
WORKDIR /fleet
ENV PSV_DIR=/fleet
VOLUME /fleet
EXPOSE 8450
STOPSIGNAL SIGTERM
ENTRYPOINT ["psv"]
CMD ["up"]
