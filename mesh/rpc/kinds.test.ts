import { afterEach, expect, test } from "vitest";
import { implement } from "#mesh/contract/contract.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { ProbeService, probeDescriptors, probeHandlers, probeRequest } from "./probe.fixture.ts";

let mesh: TestMesh;
afterEach(() => mesh.close());

test("calls methods of all four kinds", async () => {
  mesh = await startTestMesh(
    { probe: () => [implement(ProbeService, probeHandlers())] },
    { descriptors: probeDescriptors },
  );
  const probe = mesh.mesh("gateway").client(ProbeService);
  expect(await probe.read(probeRequest({ name: "hello" }), mesh.call())).toMatchObject({ text: "hello" });

  const indexes: number[] = [];
  for await (const { index } of probe.watch(probeRequest({ count: 3 }), mesh.call())) indexes.push(index);
  expect(indexes).toEqual([0, 1, 2]);

  const three = async function* () {
    for (const name of ["a", "b", "c"]) yield probeRequest({ name });
  };
  expect(await probe.collect(three(), mesh.call())).toMatchObject({ text: "a,b,c", index: 3 });

  const answers: string[] = [];
  for await (const { text } of probe.chat(three(), mesh.call())) answers.push(text);
  expect(answers).toEqual(["a", "b", "c"]);
});
