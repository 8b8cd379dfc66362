"""`GET /openapi.json`: all addresses, described for programs."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from myna.server.openapi import Body, document
from myna.server.routes.realtime import SecretRequest
from myna.server.schemas.audio import SpeechRequest, TranscriptionRequest
from myna.server.schemas.chat import ChatChange, ChatRequest
from myna.server.schemas.completions import CompletionRequest
from myna.server.schemas.control import (
    CancelRequest,
    DownloadRequest,
    FitRequest,
    LoadRequest,
    UnloadRequest,
)
from myna.server.schemas.conversations import (
    ConversationChange,
    MessageChange,
    NewConversation,
    NewMessage,
)
from myna.server.schemas.images import EditFields
from myna.server.schemas.ollama import GenerateRequest, NameRequest, OllamaChatRequest
from myna.server.schemas.responses import ResponsesRequest
from myna.server.schemas.tokens import DetokenizeRequest, TemplateRequest, TokenizeRequest
from myna.server.schemas.words import WordTimesRequest

ROUTES = "myna.server.routes."
SOUND = Body(TranscriptionRequest, files=("file",))
BODIES = {
    ROUTES + name: body
    for name, body in {
        "audio.create_speech": Body(SpeechRequest),
        "chat.create_chat_completion": Body(ChatRequest),
        "stored_chats.change_chat": Body(ChatChange),
        "completions.create_completion": Body(CompletionRequest),
        "control.fit_model": Body(FitRequest),
        "control.load_model": Body(LoadRequest),
        "control.unload_model": Body(UnloadRequest),
        "control.download_model": Body(DownloadRequest),
        "control.cancel_download": Body(CancelRequest),
        "conversations.create_conversation": Body(NewConversation),
        "conversations.change": Body(ConversationChange),
        "conversations.add_message": Body(NewMessage),
        "conversations.change_message": Body(MessageChange),
        "embeddings.create_embedding": Body(NameRequest),
        "images.create_edit": Body(EditFields, files=("image", "mask")),
        "ollama.chat": Body(OllamaChatRequest),
        "ollama.delete": Body(NameRequest),
        "ollama.embed": Body(NameRequest),
        "ollama.generate": Body(GenerateRequest),
        "ollama.pull": Body(NameRequest),
        "ollama.show": Body(NameRequest),
        "realtime.create_secret": Body(SecretRequest),
        "responses.count_input_tokens": Body(ResponsesRequest),
        "responses.create_response": Body(ResponsesRequest),
        "tokens.apply_template": Body(TemplateRequest),
        "tokens.detokenize": Body(DetokenizeRequest),
        "tokens.tokenize": Body(TokenizeRequest),
        "transcriptions.create_transcription": SOUND,
        "transcriptions.create_translation": SOUND,
        "words.word_times": Body(WordTimesRequest),
    }.items()
}


async def describe(request: Request) -> Response:
    """Describe all addresses in OpenAPI's words."""
    router = request.scope["router"]
    assert isinstance(router, Router)
    body = msgspec.json.encode(document(router.routes, BODIES))
    return Response(body, media_type="application/json")


routes = [Route("/openapi.json", describe)]
