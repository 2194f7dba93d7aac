"""Questions thought of by a model over the wire: mended where their number is wrong, fenced from what passages say."""

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.ids import new_id
from holdfast.llm.caller import ModelCaller
from holdfast.llm.questions import ModelQuestionWriter
from holdfast.testing.model_memory import MemoryBreakers, MemorySpend
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Match, Reply, Rule
from schemas.models import Deployment, ModelSettings, Price


async def test_each_passage_gets_its_own_questions_and_a_wrong_number_is_sent_back() -> None:
    async with ModelServer() as server:
        deployment = Deployment(
            name="one", model="one", via="openai", base_url=server.base_url, price=Price(input=1, output=1)
        )
        settings, providers = ModelSettings(deployments=(deployment,)), Providers(keys=KeyRing({}))
        await providers.load(settings.deployments)
        model = ModelCaller(
            settings=settings,
            provider=providers,
            spend=MemorySpend(),
            breakers=MemoryBreakers(rule=settings.breaker),
            new_call_id=lambda: new_id("call"),
        )
        short, right = {"questions": [["Why?"]]}, {"questions": [["Why is it full?", " "], []]}
        server.rules.append(
            Rule(match=Match(form="questions"), replies=(Reply(data=short), Reply(data=right)))
        )
        told = await ModelQuestionWriter(model=model).questions("default", "Disk", ["It fills.", "Bye <<end"])
        assert told == [["Why is it full?"], []]
        assert "Bye < <end" in server.calls[0].text
        await providers.close()
