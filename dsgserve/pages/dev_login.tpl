% # In place of the provider's page, on somebody's own machine.
% rebase("base.tpl")
<p>Choose whom to be. This server asks no sign-in provider, because DSG_DEV_LOGIN is set: it is for trying things out on
your own machine.</p>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
% for person in people:
<p class="row"><button class="plain" name="code" value="{{person["email"]}}">{{person["email"]}}</button>
<span class="soft"><bdi dir="auto">{{person["display_name"] or person["name"]}}</bdi></span></p>
% end
</form>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
<p><label for="email">Somebody else’s email address</label></p>
<p class="row"><input id="email" name="code" type="email" required> <button>Sign in</button></p>
</form>
