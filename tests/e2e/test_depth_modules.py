"""The process that serves HTTP runs outside of the sandbox: it executes no code of the agent's."""

from tests.e2e.conftest import Workplace, needs

POLICY = "version: 1\nname: t\nextends: [base]\n"
PLANT = """
echo 'open("{proof}", "w")' | tee sitecustomize.py usercustomize.py winreg.py _winapi.py > /dev/null
curl -s -o /dev/null http://refused.invalid/
"""


@needs("curl")
def test_no_module_of_the_agents_is_executed_outside(workplace: Workplace) -> None:
    proof = workplace.work / "proof"
    environment = {"PYTHONPATH": str(workplace.work)}
    script = PLANT.replace("{proof}", str(proof))
    result = workplace.shell(workplace.policy(POLICY), script, environment=environment)
    assert (workplace.work / "sitecustomize.py").exists()
    assert not proof.exists()
    assert result.denied()
