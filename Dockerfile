# The suite in a container. Its command is clip-compat, its user is not root, and everything it writes is in /work.
#
#   docker build -t clip-compat .                                  # CPU
#   docker build -t clip-compat:cuda --build-arg TORCH=cu128 .     # CUDA 12.8; the names are those of download.pytorch.org/whl
#   docker run --rm -v "$PWD/work:/work" clip-compat --methods all
#   docker run --rm -v "$PWD/work:/work" --gpus all -v ~/data:/data:ro clip-compat:cuda --upgrade-pairs pairs/paper.yaml --data-root /data
#
# The folder that is mounted must be writable for user 1000; with --user "$(id -u):$(id -g)" it is written as you.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH=cpu
WORKDIR /source
RUN python -m venv /opt/clip-compat \
    && /opt/clip-compat/bin/pip install --no-cache-dir torch torchvision --index-url "https://download.pytorch.org/whl/${TORCH}"
COPY . .
RUN /opt/clip-compat/bin/pip install --no-cache-dir .

FROM python:${PYTHON}-slim
RUN useradd --uid 1000 --create-home bench && install --directory --owner bench /work
# Owned by root: the user can run it and not change it.
COPY --from=build /opt/clip-compat /opt/clip-compat
ENV PATH=/opt/clip-compat/bin:$PATH \
    CLIP_COMPAT_CACHE=/work/.cache \
    HF_HOME=/work/.cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
VOLUME /work
USER bench
ENTRYPOINT ["clip-compat"]
CMD ["--help"]
