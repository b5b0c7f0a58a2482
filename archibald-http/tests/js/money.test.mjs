import assert from "node:assert/strict";
import { test } from "node:test";
import { lineTotal, shown, sum, typedDecimal } from "../../web/money.js";

test("amounts are what one gets by hand", () => {
  const total = (quantity, price, discount) => lineTotal({ quantity, price, discount });
  assert.equal(total(3, "0.1"), "0.30");
  assert.equal(total(1, "1.005"), "1.01");
  assert.equal(total(2, "18", "15"), "30.60");
  assert.equal(total(7, "9.99", "2.5"), "68.18");
  assert.equal(total(1, "263.5", "100"), "0.00");
  assert.equal(total(1_000_000, "99999999.99", "0.01"), "99989999990001.00");
  for (const missing of [[null, "1"], [1, null], [1, "x"], [1.5, "1"], [1, "1", ""]]) assert.equal(total(...missing), null);
  assert.equal(sum(["0.10", "0.20", null, undefined]), "0.30");
  assert.equal(sum([]), "0.00");
});

test("what a person types is read with a comma or a point", () => {
  assert.equal(typedDecimal(" 2,5 ", "100"), "2.5");
  assert.equal(typedDecimal("007", "100"), "7");
  assert.equal(typedDecimal("100", "100"), "100");
  for (const wrong of ["", "-1", "1e3", "100,01", "2,555", "1.000,5", "x"]) assert.equal(typedDecimal(wrong, "100"), null, wrong);
});

test("large amounts are shown digit by digit", () => {
  assert.equal(shown("90071992547409.93", "it"), "90.071.992.547.409,93");
  assert.equal(shown(null, "it"), "–");
});
