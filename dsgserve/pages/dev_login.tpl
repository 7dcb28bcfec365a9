% # In place of the provider's page, on somebody's own machine.
% rebase("base.tpl", title=title, nonce=nonce)
<p>No provider is asked: this is DSG_DEV_LOGIN, for trying things out on one's own machine.</p>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
% for person in people:
<p><button class="plain" name="code" value="{{person["email"]}}">{{person["email"]}}</button>
<span class="soft">{{person["display_name"] or person["name"]}}</span></p>
% end
</form>
<form action="{{callback}}" method="get">
<input type="hidden" name="state" value="{{state}}">
<p><label>Somebody else’s email <input name="code" type="email" required></label> <button>Sign in</button></p>
</form>
