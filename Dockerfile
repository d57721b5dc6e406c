# Dances in a container, with the bundled models and without TensorFlow.
#
#   docker build -t dancenet .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/out" dancenet --seconds 16 --out dance.mp4
#
# /out is the working folder: mount the folder that the dances shall go to. Any other command:
#
#   docker run --rm --entrypoint dancenet dancenet download-weights
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir /wheels/*.whl
RUN useradd --create-home --uid 1000 dancer && install --directory --owner=dancer --mode=1777 /out
# The user of `--user` has no home of its own.
ENV DANCENET_CACHE=/tmp/dancenet PYTHONUNBUFFERED=1
USER 1000
WORKDIR /out
ENTRYPOINT ["dancenet", "generate-video"]
