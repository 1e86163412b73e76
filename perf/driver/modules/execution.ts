/** Stands in for the module `k6/execution`, as far as the scripts here use it. */
import { iterations } from "../run.ts";

function present() {
  const iteration = iterations.getStore();
  if (iteration === undefined) throw new Error("only within an iteration");
  return iteration;
}

export default {
  scenario: {
    get iterationInTest() {
      return present().number;
    },
    get startTime() {
      return present().startTime;
    },
  },
  vu: {
    get idInTest() {
      return present().client + 1;
    },
  },
};
