"""Commands that start an engine, as people publish them in documentation, issues and scripts.

Each is written as it was found, with its comments, variables and continued lines; only addresses of
machines and tokens are replaced, and a flag is left out that no known release has beside the
others. ``source`` says where the like of it was found.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A published command.

    Args:
        name: for the name of its test.
        source: where it was found.
        text: the command.
        release: the release of the engine whose flags it uses, by the tables.
        devices: resource and number of devices of a pod; empty for a CPU.
        pods: pods of one engine.
        model_uri: what the user states because the model is a folder of their machine.
    """

    name: str
    source: str
    text: str
    release: str
    devices: str = "nvidia.com/gpu=1"
    pods: int = 1
    model_uri: str | None = None


_DOCS, _RECIPES, _ISSUES = "documentation of vLLM", "recipes of vLLM", "issues of vLLM"
_SGLANG, _ASCEND = "documentation of SGLang", "documentation of vLLM Ascend"
_SCRIPTS = "scripts in public repositories"
NEWEST = "0.33.0"

PUBLISHED = [
    Published(
        "docker, the first page",
        _DOCS,
        r"""$ docker run --runtime nvidia --gpus all \
    -v ~/.cache/huggingface:/root/.cache/huggingface \
    --env "HUGGING_FACE_HUB_TOKEN=<secret>" \
    -p 8000:8000 \
    --ipc=host \
    vllm/vllm-openai:latest \
    --model mistralai/Mistral-7B-v0.1""",
        NEWEST,
    ),
    Published(
        "docker with the token of the shell",
        "vllm-skills",
        r"""docker run --rm --gpus all \
-v ~/.cache/huggingface:/root/.cache/huggingface \
--env "HF_TOKEN=$HF_TOKEN" \
-p 8000:8000 \
--ipc=host \
vllm/vllm-openai:v0.10.2 \
--model Qwen/Qwen2.5-1.5B-Instruct""",
        "0.10.2",
    ),
    Published(
        "two devices by number, and a folder",
        "a deployment guide on gitee",
        r"""docker run -d \
  --name vllm-70b \
  --gpus '"device=1,2"' \
  --shm-size=64g \
  -e NCCL_DEBUG=INFO \
  -p 10001:10001 \
  -v /data1/llms:/models \
  vllm/vllm-openai:latest \
  --model /models/70b \
  --served-model-name deepseek-r1:70b \
  --tensor-parallel-size 2 \
  --gpu-memory-utilization 0.9 \
  --trust-remote-code \
  --dtype bfloat16 \
  --max-model-len 8192 \
  --api-key 123456 \
  --host 0.0.0.0 \
  --port 10001""",
        NEWEST,
        "nvidia.com/gpu=2",
        model_uri="hf://deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    ),
    Published(
        "gpt-oss in one line of docker",
        _RECIPES,
        r"""docker run --gpus all \
    -p 8000:8000 \
    --ipc=host \
    vllm/vllm-openai \
    --model openai/gpt-oss-20b""",
        NEWEST,
    ),
    Published(
        "gpt-oss on AMD, with exported variables and parts of an object",
        _RECIPES,
        """export HSA_NO_SCRATCH_RECLAIM=1
export AMDGCN_USE_BUFFER_OPS=0
export VLLM_ROCM_USE_AITER=1
export VLLM_ROCM_QUICK_REDUCE_QUANTIZATION=INT4

vllm serve openai/gpt-oss-120b --tensor-parallel-size=8 """
        "--attention-backend ROCM_AITER_UNIFIED_ATTN -cc.pass_config.fuse_rope_kvcache=True "
        "-cc.use_inductor_graph_partition=True --gpu-memory-utilization 0.95 --block-size=64",
        NEWEST,
        "nvidia.com/gpu=8",
    ),
    Published(
        "gpt-oss for an evaluation, with underscores",
        _RECIPES,
        r"""# Example deployment on 8xH100
vllm serve openai/gpt-oss-120b \
  --tensor_parallel_size 8 \
  --max-model-len 131072 \
  --max-num-batched-tokens 10240 \
  --max-num-seqs 128 \
  --gpu-memory-utilization 0.85 \
  --no-enable-prefix-caching
""",
        NEWEST,
        "nvidia.com/gpu=8",
    ),
    Published(
        "Qwen3-Next with speculative decoding",
        _RECIPES,
        r"""vllm serve Qwen/Qwen3-Next-80B-A3B-Instruct  \
--tokenizer-mode auto  --gpu-memory-utilization 0.8 \
--speculative-config '{"method": "qwen3_next_mtp", "num_speculative_tokens": 2}' \
--tensor-parallel-size 4 --no-enable-chunked-prefill """,
        NEWEST,
        "nvidia.com/gpu=4",
    ),
    Published(
        "Kimi-K2 on two machines",
        _RECIPES,
        """# start ray on node 0 and node 1

# node 0:
vllm serve moonshotai/Kimi-K2-Instruct --trust-remote-code --tokenizer-mode auto """
        "--tensor-parallel-size 8 --pipeline-parallel-size 2 --dtype bfloat16 --quantization fp8 "
        "--max-model-len 2048 --max-num-seqs 1 --max-num-batched-tokens 1024 "
        "--enable-chunked-prefill --disable-log-requests --kv-cache-dtype fp8",
        NEWEST,
        "nvidia.com/gpu=8",
        2,
    ),
    Published(
        "DeepSeek-R1 on two machines with Ray",
        _SCRIPTS,
        r"""export VLLM_HOST_IP=192.0.2.10
ray start --head --port=6379 --node-ip-address=$VLLM_HOST_IP
vllm serve deepseek-ai/DeepSeek-R1-0528 \
    --tensor-parallel-size 8 \
    --pipeline-parallel-size 2 \
    --distributed-executor-backend ray \
    --reasoning-parser deepseek_r1 \
    --max-model-len 131072 \
    --gpu-memory-utilization 0.92 \
    --max-num-seqs 256 \
    --dtype auto \
    --trust-remote-code \
    > $EVAL_DIR/logs/vllm.log 2>&1 &
pid_vllm=$!
""",
        NEWEST,
        "nvidia.com/gpu=8",
        2,
    ),
    Published(
        "the leader of two machines without Ray",
        _SCRIPTS,
        "vllm serve zai-org/GLM-4.6 --served-model-name GLM-4.6 --trust-remote-code "
        "--distributed-executor-backend mp --nnodes 2 --node-rank 0 --master-addr 192.0.2.30 "
        "--master-port 29850 --tensor-parallel-size 16 --pipeline-parallel-size 1 "
        "--data-parallel-size 1 --load-format safetensors --disable-custom-all-reduce "
        "--max-model-len 131072 --max-num-seqs 64 --gpu-memory-utilization 0.95 "
        "--no-enable-log-requests --reasoning-parser glm45 --block-size 128 --host 0.0.0.0 "
        "--port 8000",
        NEWEST,
        "nvidia.com/gpu=8",
        2,
    ),
    Published(
        "the module, from a prompt",
        _ISSUES,
        r"""(vllm) user@host:~$ python -m vllm.entrypoints.openai.api_server \
--model Qwen/Qwen3-30B-A3B-Instruct-2507-FP8 \
--port 8000 \
--served-model-name Qwen3-30B-A3B-Instruct-2507 \
--tensor-parallel-size 4 \
--pipeline-parallel-size 1 \
--dtype auto \
--trust-remote-code \
--gpu-memory-utilization 0.90 \
--max-model-len 131072 \
--max-num-batched-tokens 32768 \
--enable-auto-tool-choice \
--tool-call-parser hermes \
--max-num-seqs 10""",
        NEWEST,
        "nvidia.com/gpu=4",
    ),
    Published(
        "a folder and a template of the machine",
        _ISSUES,
        r"""vllm serve DeepSeek-R1-0528-Qwen3-8B \
  --served-model-name deepseek \
  --gpu_memory_utilization 0.5 \
  --max_num_seqs 20 \
  --max_model_len 10000 \
  --enable-auto-tool-choice \
  --tool-call-parser deepseek_v3 \
  --chat-template tool_chat_template_deepseekr1.jinja \
  --port 5050 \
  --max_num_batched_tokens 5000
""",
        NEWEST,
        model_uri="hf://deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
    ),
    Published(
        "GLM on AMD, variables in front",
        _RECIPES,
        r"""SAFETENSORS_FAST_GPU=1 \
VLLM_USE_V1=1 \
VLLM_USE_TRITON_FLASH_ATTN=0 \
SAFETENSORS_FAST_GPU=1 \
vllm serve zai-org/GLM-4.7  \
     --tensor-parallel-size 8 \
     --tool-call-parser glm45 \
""",
        NEWEST,
        "nvidia.com/gpu=8",
    ),
    Published(
        "two devices and ModelScope",
        _SCRIPTS,
        r"""CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_MODELSCOPE=true \
  vllm serve Qwen/Qwen3-4B-Instruct-2507 \
  --port 8000 \
  --trust-remote-code \
  --served-model-name Qwen3-4B-Instruct-2507 \
  --gpu-memory-utilization 0.6 \
  --tensor-parallel-size 2 \
  --enable-log-requests \
  --reasoning-parser qwen3 \
  --enable-auto-tool-choice \
  --tool-call-parser qwen3_coder""",
        NEWEST,
        "nvidia.com/gpu=2",
    ),
    Published(
        "short flags",
        _SCRIPTS,
        "CUDA_VISIBLE_DEVICES=0,1 vllm serve meta-llama/Llama-3.1-8B-Instruct -tp 1 -pp 2",
        NEWEST,
        "nvidia.com/gpu=2",
    ),
    Published(
        "a flag that is gone, so an older release",
        _SCRIPTS,
        "CUDA_VISIBLE_DEVICES=0,1 vllm serve 'Qwen/Qwen2-VL-7B-Instruct-GPTQ-Int4' "
        "--api-key token-abc123 --tensor-parallel-size 2 --pipeline-parallel-size 1 "
        '--limit-mm-per-prompt "image=12" --trust-remote-code --quantization gptq '
        "--gpu_memory_utilization 0.85 --max_model_len=32768 --max-seq-len-to-capture=32768 "
        "--port 8000 &",
        "0.9.2",
        "nvidia.com/gpu=2",
    ),
    Published(
        "in the background, with a log",
        _SCRIPTS,
        r"""export HF_ENDPOINT=https://hf-mirror.com
CUDA_VISIBLE_DEVICES=0 nohup python -m vllm.entrypoints.openai.api_server \
    --model Qwen/Qwen3-8B \
    --served-model-name Qwen/Qwen3-8B \
    --trust-remote-code \
    --host 0.0.0.0 \
    --port 8000 \
    --tensor-parallel-size 1 \
    --gpu-memory-utilization 0.85 \
    --max-model-len 16384 \
    > ~/tts/logs/vllm_8b.log 2>&1 &

echo "  PID: $!"
""",
        NEWEST,
    ),
    Published(
        "an embedding model",
        _SCRIPTS,
        r"""vllm serve Qwen/Qwen3-Embedding-0.6B \
  --host 127.0.0.1 \
  --port 8081 \
  --runner pooling """,
        NEWEST,
    ),
    Published(
        "the task of an older release",
        _ISSUES,
        "vllm serve BAAI/bge-m3 --task embed --enforce-eager",
        "0.11.2",
    ),
    Published(
        "reasoning of an older release",
        _ISSUES,
        "vllm serve deepseek-ai/DeepSeek-R1-Distill-Qwen-7B --enable-reasoning "
        "--reasoning-parser deepseek_r1",
        "0.9.2",
    ),
    Published(
        "an adapter from the hub",
        _DOCS,
        r"""vllm serve meta-llama/Llama-3.2-3B-Instruct \
    --enable-lora \
    --lora-modules sql-lora=jeeejeee/llama32-3b-text2sql-spider""",
        NEWEST,
    ),
    Published(
        "an adapter in the cache of the hub",
        _DOCS,
        r"""python -m vllm.entrypoints.openai.api_server \
        --model meta-llama/Llama-2-7b-hf \
        --enable-lora \
        --lora-modules sql-lora=~/.cache/huggingface/hub/models--yard1--llama-2-7b-sql-lora-test/
""",
        NEWEST,
    ),
    Published(
        "podman with a rate of files and no label",
        "model cards of Red Hat AI",
        r"""podman run --rm -it --device nvidia.com/gpu=all -p 8000:8000 \
 --ipc=host \
--env "HUGGING_FACE_HUB_TOKEN=$HF_TOKEN" \
--env "HF_HUB_OFFLINE=0" -v ~/.cache/vllm:/home/vllm/.cache \
--name=vllm \
registry.access.redhat.com/rhaiis/rh-vllm-cuda \
vllm serve \
--tensor-parallel-size 8 \
--max-model-len 32768  \
--enforce-eager --model RedHatAI/Qwen3-8B-FP8-dynamic""",
        NEWEST,
        "nvidia.com/gpu=8",
    ),
    Published(
        "podman on a CPU",
        _SCRIPTS,
        r"""podman run --rm \
             --name=granite-embedding \
             --privileged=true \
             --shm-size=4g \
             -v ~/.cache/huggingface:/root/.cache/huggingface \
             -p 8000:8000 \
             -e VLLM_CPU_KVCACHE_SPACE=30  \
             -e VLLM_CPU_OMP_THREADS_BIND=4 \
             public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.8.4 \
             --model=ibm-granite/granite-embedding-30m-english \
             --dtype=bfloat16 \
""",
        "0.8.5",
        "",
    ),
    Published(
        "docker on a CPU, with variables of the text",
        _SCRIPTS,
        r"""# Set Hugging Face token and model name
export HF_TOKEN=""
export INFERENCE_MODEL="TinyLlama/TinyLlama-1.1B-Chat-v1.0"

# Docker image to use
DOCKER_IMAGE="public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.9.2"

echo "Starting vLLM inference endpoint..."
docker run \
    --pull always \
    -v ~/.cache/huggingface:/root/.cache/huggingface \
    --env "HUGGING_FACE_HUB_TOKEN=$HF_TOKEN" \
    -p 8080:8080 \
    --ipc=host \
    $DOCKER_IMAGE \
    --model $INFERENCE_MODEL \
    --max-model-len 32k
""",
        "0.9.2",
        "",
    ),
    Published(
        "AMD with an entry point and several names",
        "documentation of vLLM Semantic Router",
        r"""sudo docker run -d \
  --name vllm-gpt-oss-120b \
  --network=vllm-sr-network \
  -p 8000:8000 \
  --device=/dev/kfd \
  --device=/dev/dri \
  --group-add=video \
  --ipc=host \
  --cap-add=SYS_PTRACE \
  --security-opt seccomp=unconfined \
  --shm-size 32G \
  -v /data:/data \
  -v $HOME:/myhome \
  -w /myhome \
  -e VLLM_ROCM_USE_AITER=1 \
  -e VLLM_USE_AITER_UNIFIED_ATTENTION=1 \
  -e VLLM_ROCM_USE_AITER_MHA=0 \
  --entrypoint python3 \
  vllm/vllm-openai-rocm:v0.14.0 \
  -m vllm.entrypoints.openai.api_server \
    --model openai/gpt-oss-120b \
    --host 0.0.0.0 \
    --port 8000 \
    --served-model-name openai/gpt-oss-120b openai/gpt-oss-20b Qwen/Qwen3-235B Kimi-K2-Thinking \
    --gpu-memory-utilization 0.9 \
    --enable-auto-tool-choice \
    --tool-call-parser openai
""",
        "0.13.0",
        "amd.com/gpu=1",
    ),
    Published(
        "AMD, the base command",
        "inference cookbook of Vultr",
        r"""docker run --rm \
  --group-add=video \
  --cap-add=SYS_PTRACE \
  --security-opt seccomp=unconfined \
  --device /dev/kfd \
  --device /dev/dri \
  -v ~/.cache/huggingface:/root/.cache/huggingface \
  --env "HF_TOKEN=$HF_TOKEN" \
  -p 8000:8000 \
  --ipc=host \
  vllm/vllm-openai-rocm:latest \
  --model meta-llama/Llama-3.1-8B-Instruct""",
        NEWEST,
        "amd.com/gpu=1",
    ),
    Published(
        "the command vllm as entry point, and a revision",
        _SCRIPTS,
        r"""docker run -d --name qwen3-14b-vllm --network host --ipc host --gpus device=1 \
  --entrypoint vllm vllm/vllm-openai:v0.30.0 serve Qwen/Qwen3-14B \
  --revision 40c069824f4251a91eefaf281ebe4c544efd3e18 --served-model-name qwen3-14b \
  --host 127.0.0.1 --port 8892 --dtype bfloat16 --max-model-len 16384 --gpu-memory-utilization 0.85
# another one: the same with another port
""",
        "0.18.0",
    ),
    Published(
        "an image by its digest, a limit of memory, JSON",
        _SCRIPTS,
        r"""docker run --gpus device=0 --ipc=host --memory 64g --memory-swap 64g \
  -p 127.0.0.1:8001:8000 -v /srv/weights/qwen:/model:ro \
  --entrypoint vllm vllm/vllm-openai@sha256:"""
        + "0" * 64
        + r""" serve /model \
  --kv-cache-dtype fp8 --gpu-memory-utilization 0.90 \
  --max-model-len 262144 --max-num-seqs 4 --max-num-batched-tokens 1024 \
  --compilation-config '{"cudagraph_mode":"PIECEWISE"}' \
  --enable-prefix-caching --mamba-cache-mode align \
  --reasoning-parser qwen3 --tool-call-parser qwen3_xml \
  --enable-auto-tool-choice \
  --speculative-config '{"method":"mtp","num_speculative_tokens":3}'
""",
        NEWEST,
        model_uri="hf://Qwen/Qwen3.6-27B-FP8",
    ),
    Published(
        "Ascend: a shell in the container, then the engine",
        _ASCEND,
        r"""# Update DEVICE according to your device (/dev/davinci[0-7])
export DEVICE=/dev/davinci0
# Update the vllm-ascend image
export IMAGE=quay.io/ascend/vllm-ascend:v0.11.0rc2
docker run --rm \
--name vllm-ascend \
--shm-size=1g \
--device $DEVICE \
--device /dev/davinci_manager \
--device /dev/devmm_svm \
--device /dev/hisi_hdc \
-v /usr/local/dcmi:/usr/local/dcmi \
-v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi \
-v /usr/local/Ascend/driver/lib64/:/usr/local/Ascend/driver/lib64/ \
-v /etc/ascend_install.info:/etc/ascend_install.info \
-v /root/.cache:/root/.cache \
-p 8000:8000 \
-it $IMAGE bash
# Install curl
apt-get update -y && apt-get install -y curl
export VLLM_USE_MODELSCOPE=true
vllm serve Qwen/Qwen2.5-0.5B-Instruct &
""",
        "0.10.2",
        "huawei.com/ascend-1980=1",
    ),
    Published(
        "an image on a Jetson, the engine after it",
        "Jetson AI Lab",
        r"""sudo docker run -it --rm --pull always \
    --runtime=nvidia --network host \
    -v $HOME/.cache/huggingface:/root/.cache/huggingface \
    vllm/vllm-openai:latest \
    vllm serve nvidia/Cosmos-Reason-1-7B-NVFP4 --port 8300 --gpu-memory-utilization 0.7
""",
        NEWEST,
    ),
    Published(
        "a token for clients in the command",
        _SCRIPTS,
        r"""sudo docker run -d \
    --name vllm-qwen \
    --gpus all \
    --shm-size=16g \
    -v /opt/llm/models:/models \
    -p 127.0.0.1:8000:8000 \
    --restart unless-stopped \
    vllm/vllm-openai:v0.11.2 \
    --model /models/Qwen3-8B \
    --served-model-name qwen3-8b \
    --max-model-len 8192 \
    --gpu-memory-utilization 0.90 \
    --dtype auto \
    --api-key "REPLACE_WITH_STRONG_SECRET_TOKEN"
""",
        "0.11.2",
        model_uri="hf://Qwen/Qwen3-8B",
    ),
    Published(
        "a tag that names the engine",
        "documentation of ROCm",
        "docker run -it --rm --network=host --group-add=video --ipc=host --cap-add=SYS_PTRACE "
        "--security-opt seccomp=unconfined --device /dev/kfd --device /dev/dri "
        '-v /srv/models:/app/models -e HF_HOME="/app/models" '
        "rocm/vllm:rocm7.12.0_gfx950-dcgpu_ubuntu24.04_py3.12_pytorch_2.9.1_vllm_0.16.0 "
        "vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2 --no-enable-prefix-caching",
        "0.16.0",
        "amd.com/gpu=2",
    ),
    Published(
        "uv with a pinned release, a script of bash",
        _SCRIPTS,
        "bash -lc 'uv run --with vllm==0.13.0 vllm serve "
        '"Qwen/Qwen3-Omni-30B-A3B-Instruct" --trust-remote-code --max-model-len 8192\'',
        "0.13.0",
    ),
    Published(
        "the level of optimization, the older way",
        _DOCS,
        "pip install vllm==0.10.2\nvllm serve meta-llama/Llama-3.2-1B -O3 --max-num-seqs 16",
        "0.10.2",
    ),
    Published(
        "a cache of keys and values outside of the GPU",
        "documentation of LMCache",
        r"""LMCACHE_CONFIG_FILE="lmcache_config.yaml" \
vllm serve \
    Qwen/Qwen3-8B \
    --max-model-len 16384 \
    --kv-transfer-config \
    '{"kv_connector":"LMCacheConnectorV1", "kv_role":"kv_both"}'""",
        NEWEST,
    ),
    Published(
        "sampling of the server, and limits by kind of input",
        _SCRIPTS,
        r"""vllm serve Qwen/Qwen3-VL-8B-Instruct -tp 2
      --tokenizer Qwen/Qwen3-VL-8B-Instruct
      --served-model-name qwen3-vl
      --limit-mm-per-prompt '{"image": 99, "audio": 0, "video": 0}'
      --override-generation-config '{"temperature": 1.0, "top_p": 0.95, "top_k": 20}'
      --allowed-origins '["*"]'
      --kv-cache-dtype fp8
""",
        NEWEST,
        "nvidia.com/gpu=2",
    ),
    Published(
        "two ranks of data",
        _DOCS,
        "vllm serve Qwen/Qwen3-30B-A3B --data-parallel-size 2 --tensor-parallel-size 2 "
        "--enable-expert-parallel --api-server-count 2",
        NEWEST,
        "nvidia.com/gpu=4",
    ),
    Published(
        "SGLang in docker",
        _SGLANG,
        r"""docker run --gpus all \
    --shm-size 32g \
    -p 30000:30000 \
    -v ~/.cache/huggingface:/root/.cache/huggingface \
    --env "HF_TOKEN=<secret>" \
    --ipc=host \
    lmsysorg/sglang:latest \
    python3 -m sglang.launch_server --model-path meta-llama/Llama-3.1-8B-Instruct """
        "--host 0.0.0.0 --port 30000",
        "0.5.23",
    ),
    Published(
        "SGLang on two machines, abbreviated",
        "documentation of a cloud",
        "docker run --gpus all --device=/dev/infiniband --ulimit memlock=-1 "
        "--ulimit stack=67108864 --shm-size 32g --network=host "
        "-v ~/.cache/huggingface:/root/.cache/huggingface --name sglang_multinode1 "
        "-e GLOO_SOCKET_IFNAME=eth0 -it --rm --ipc=host lmsysorg/sglang:latest python3 -m "
        "sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp 16 "
        "--nccl-init-addr <IP_address_1>:30000 --nnodes 2 --node-rank 0 --trust-remote-code "
        "--host 0.0.0.0 --port 30001 --disable-radix --max-prefill-tokens 126000",
        "0.5.23",
        "nvidia.com/gpu=8",
        2,
    ),
    Published(
        "SGLang with ranks that share devices",
        "model card of DeepSeek-V3.2-Exp",
        "python -m sglang.launch_server --model deepseek-ai/DeepSeek-V3.2-Exp --tp 8 --dp 8 "
        "--enable-dp-attention",
        "0.5.23",
        "nvidia.com/gpu=8",
    ),
    Published(
        "SGLang on Ascend",
        _SGLANG,
        r"""export PYTORCH_NPU_ALLOC_CONF=expandable_segments:True
export HCCL_BUFFSIZE=1600

python3 -m sglang.launch_server \
    --model-path vllm-ascend/DeepSeek-R1-0528-W8A8 \
    --tp 16 \
    --trust-remote-code \
    --attention-backend ascend \
    --device npu \
    --watchdog-timeout 9000 \
    --mem-fraction-static 0.68 \
    --max-running-requests 128 \
    --context-length 8188 \
    --disable-radix-cache \
    --chunked-prefill-size -1 \
    --max-prefill-tokens 16384 \
    --moe-a2a-backend deepep \
    --deepep-mode auto \
    --enable-dp-attention \
    --dp-size 4 \
    --enable-dp-lm-head \
    --speculative-algorithm NEXTN \
    --speculative-num-steps 3 \
    --speculative-eagle-topk 1 \
    --speculative-num-draft-tokens 4 \
    --dtype bfloat16
""",
        "0.5.23",
        "huawei.com/ascend-1980=16",
    ),
    Published(
        "SGLang with a key, in nerdctl",
        _SCRIPTS,
        "nerdctl run --gpus all --shm-size 32g -p 8000:8000 "
        "-v /srv/huggingface_cache:/root/.cache/huggingface "
        '--env "HF_TOKEN=<your_token>" --ipc=host lmsysorg/sglang:v0.5.23 python3 -m '
        "sglang.launch_server --model-path hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4 "
        "--api-key sk-00000000000000000000 --host 0.0.0.0 --port 8000",
        "0.5.23",
    ),
    Published(
        "SGLang, an issue",
        "issues of a public repository",
        r"""python3 -m sglang.launch_server \
        --served-model-name ReSearch \
        --model-path Qwen/Qwen2.5-1.5B-Instruct \
        --tp 4 \
        --context-length 6000 \
        --enable-metrics \
        --dtype bfloat16 \
        --host 127.0.0.1 \
        --port 80 \
        --trust-remote-code \
        --disable-radix-cache \
        --disable-cuda-graph \
        --mem-fraction-static 0.7
""",
        "0.5.23",
        "nvidia.com/gpu=4",
    ),
    Published(
        "SGLang by its own command",
        "examples of dstack",
        "sglang serve --model-path Qwen/Qwen3.6-27B --tp 4 --host 0.0.0.0 --port 30000 "
        "--context-length 262144 --reasoning-parser qwen3",
        "0.5.23",
        "nvidia.com/gpu=4",
    ),
    Published(
        "SGLang on AMD",
        "scripts of InferenceMAX",
        r"""MODEL=deepseek-ai/DeepSeek-R1-0528
PORT=8888
TP=8
export SGLANG_USE_AITER=1

set -x
python3 -m sglang.launch_server --model-path=$MODEL --trust-remote-code \
--host=0.0.0.0 --port=$PORT \
--tensor-parallel-size=$TP \
--chunked-prefill-size=196608 \
--mem-fraction-static=0.8 \
--disable-radix-cache \
--num-continuous-decode-steps=4 \
--max-prefill-tokens=196608
""",
        "0.5.23",
        "nvidia.com/gpu=8",
    ),
]
