import { type Account, giveBack, type Refund } from "./account.ts";
import { type Params, textOf, textsOf } from "./forms.ts";
import { onlyKnown, readAmount } from "./payment-intents.ts";
import { missing, StripeFault } from "./replies.ts";

/** Gives back of what a charge took. */
export function createRefund(account: Account, params: Params): Refund {
  onlyKnown(params, "charge amount metadata");
  const id = textOf(params, "charge") ?? "";
  const charge = account.charges.get(id);
  if (charge === undefined) throw missing("charge", id, "charge");
  const amount = readAmount(textOf(params, "amount"), "amount");
  if (!charge.captured) throw new StripeFault(400, "This charge was not captured.", { code: "charge_not_refundable" });
  // What a capture in part let go was never taken.
  const left = charge.amount - charge.amount_refunded;
  if (left === 0)
    throw new StripeFault(400, `Charge ${id} has already been refunded.`, { code: "charge_already_refunded" });
  if (amount > left) {
    throw new StripeFault(400, "Refund amount is greater than unrefunded amount on charge", { param: "amount" });
  }
  return giveBack(account, charge, { amount, metadata: textsOf(params, "metadata"), movesMoney: true });
}
